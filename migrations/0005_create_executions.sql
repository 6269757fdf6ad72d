-- Executions: one run of an agent, what it used and how it ended.

-- migrate:up
CREATE TABLE agents.executions (
  id uuid NOT NULL DEFAULT pgsteward.uuidv7(),
  tenant_id uuid NOT NULL,
  agent_name text NOT NULL,
  chat_id uuid,
  status text NOT NULL DEFAULT 'pending',
  attempt integer NOT NULL DEFAULT 1,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  cost_usd numeric(14, 6) NOT NULL DEFAULT 0,
  error text,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_executions PRIMARY KEY (id),
  CONSTRAINT fk_executions_tenants FOREIGN KEY (tenant_id) REFERENCES agents.tenants (id),
  CONSTRAINT fk_executions_chats FOREIGN KEY (tenant_id, chat_id)
    REFERENCES messaging.chats (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_executions_status CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
  CONSTRAINT ck_executions_attempt CHECK (attempt >= 1),
  CONSTRAINT ck_executions_usage CHECK (input_tokens >= 0 AND output_tokens >= 0 AND cost_usd >= 0),
  CONSTRAINT ck_executions_times CHECK (finished_at >= started_at)
);
COMMENT ON TABLE agents.executions IS 'One run of an agent for a tenant';
COMMENT ON COLUMN agents.executions.attempt IS 'Counts from 1; a retry is a new attempt';
COMMENT ON COLUMN agents.executions.cost_usd IS 'In US dollars';
COMMENT ON COLUMN agents.executions.error IS 'What went wrong, for people';

-- What runs and what failed lately.
CREATE INDEX idx_executions_tenant_id_status_created_at
  ON agents.executions (tenant_id, status, created_at DESC);
-- The runs of a chat; it also serves the foreign key.
CREATE INDEX idx_executions_tenant_id_chat_id ON agents.executions (tenant_id, chat_id);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON agents.executions
  FOR EACH ROW EXECUTE FUNCTION pgsteward.set_updated_at();

ALTER TABLE agents.executions ENABLE ROW LEVEL SECURITY;
ALTER TABLE agents.executions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON agents.executions AS PERMISSIVE USING (true) WITH CHECK (true);
CREATE POLICY tenant_isolation ON agents.executions AS RESTRICTIVE
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
  WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON agents.executions TO app;

-- migrate:down
DROP TABLE agents.executions;
