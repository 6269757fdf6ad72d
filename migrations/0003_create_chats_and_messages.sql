-- Chats and their ordered messages.

-- migrate:up
CREATE SCHEMA messaging;
COMMENT ON SCHEMA messaging IS 'Chats and messages';
GRANT USAGE ON SCHEMA messaging TO app;

CREATE TABLE messaging.chats (
  id uuid NOT NULL DEFAULT pgsteward.uuidv7(),
  tenant_id uuid NOT NULL,
  title text NOT NULL,
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_chats PRIMARY KEY (id),
  CONSTRAINT uq_chats_tenant_id_id UNIQUE (tenant_id, id),
  CONSTRAINT fk_chats_tenants FOREIGN KEY (tenant_id) REFERENCES agents.tenants (id)
);
COMMENT ON TABLE messaging.chats IS 'A conversation between people and agents of one tenant';
COMMENT ON COLUMN messaging.chats.metadata IS 'What the application wants to keep with the chat';

-- The list of chats: newest first, in pages.
CREATE INDEX idx_chats_tenant_id_created_at_id ON messaging.chats (tenant_id, created_at DESC, id DESC);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON messaging.chats
  FOR EACH ROW EXECUTE FUNCTION pgsteward.set_updated_at();

ALTER TABLE messaging.chats ENABLE ROW LEVEL SECURITY;
ALTER TABLE messaging.chats FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON messaging.chats AS PERMISSIVE USING (true) WITH CHECK (true);
CREATE POLICY tenant_isolation ON messaging.chats AS RESTRICTIVE
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
  WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON messaging.chats TO app;

CREATE TABLE messaging.messages (
  id uuid NOT NULL DEFAULT pgsteward.uuidv7(),
  tenant_id uuid NOT NULL,
  chat_id uuid NOT NULL,
  role text NOT NULL,
  content text NOT NULL,
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_messages PRIMARY KEY (id),
  CONSTRAINT fk_messages_chats FOREIGN KEY (tenant_id, chat_id)
    REFERENCES messaging.chats (tenant_id, id) ON DELETE CASCADE,
  CONSTRAINT ck_messages_role CHECK (role IN ('system', 'user', 'assistant', 'tool'))
);
COMMENT ON TABLE messaging.messages IS 'One message of a chat';
COMMENT ON COLUMN messaging.messages.role IS 'Who speaks: system, user, assistant or tool';

-- The history of a chat in order, in pages; it also serves the foreign key.
CREATE INDEX idx_messages_tenant_id_chat_id_created_at_id
  ON messaging.messages (tenant_id, chat_id, created_at, id);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON messaging.messages
  FOR EACH ROW EXECUTE FUNCTION pgsteward.set_updated_at();

ALTER TABLE messaging.messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE messaging.messages FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON messaging.messages AS PERMISSIVE USING (true) WITH CHECK (true);
CREATE POLICY tenant_isolation ON messaging.messages AS RESTRICTIVE
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
  WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON messaging.messages TO app;

-- migrate:down
DROP TABLE messaging.messages;
DROP TABLE messaging.chats;
DROP SCHEMA messaging;
