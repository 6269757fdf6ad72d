-- Tenants: whose rows are whose. Every other table of the platform leads its keys with tenant_id.

-- migrate:up
CREATE SCHEMA agents;
COMMENT ON SCHEMA agents IS 'Tenants, agents and what they ran';
GRANT USAGE ON SCHEMA agents TO app;

CREATE TABLE agents.tenants (
  id uuid NOT NULL DEFAULT pgsteward.uuidv7(),
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_tenants PRIMARY KEY (id),
  CONSTRAINT uq_tenants_name UNIQUE (name),
  CONSTRAINT ck_tenants_name_not_empty CHECK (name <> '')
);
COMMENT ON TABLE agents.tenants IS 'One customer or team; sees only its own rows';
COMMENT ON COLUMN agents.tenants.name IS 'Unique name, for people';

CREATE TRIGGER set_updated_at BEFORE UPDATE ON agents.tenants
  FOR EACH ROW EXECUTE FUNCTION pgsteward.set_updated_at();

ALTER TABLE agents.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE agents.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON agents.tenants AS PERMISSIVE USING (true) WITH CHECK (true);
CREATE POLICY tenant_isolation ON agents.tenants AS RESTRICTIVE
  USING (id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
  WITH CHECK (id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT SELECT ON agents.tenants TO app;

-- migrate:down
DROP TABLE agents.tenants;
DROP SCHEMA agents;
