-- Todos: what is to be done, by whom and until when.

-- migrate:up
CREATE SCHEMA tasks;
COMMENT ON SCHEMA tasks IS 'What is to be done';
GRANT USAGE ON SCHEMA tasks TO app;

CREATE TABLE tasks.todos (
  id uuid NOT NULL DEFAULT pgsteward.uuidv7(),
  tenant_id uuid NOT NULL,
  title text NOT NULL,
  description text NOT NULL DEFAULT '',
  status text NOT NULL DEFAULT 'open',
  priority smallint NOT NULL DEFAULT 3,
  due_at timestamptz,
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_todos PRIMARY KEY (id),
  CONSTRAINT fk_todos_tenants FOREIGN KEY (tenant_id) REFERENCES agents.tenants (id),
  CONSTRAINT ck_todos_status CHECK (status IN ('open', 'in_progress', 'done', 'cancelled')),
  CONSTRAINT ck_todos_priority CHECK (priority BETWEEN 1 AND 5)
);
COMMENT ON TABLE tasks.todos IS 'A piece of work of one tenant';
COMMENT ON COLUMN tasks.todos.priority IS '1 is the most urgent, 5 the least';
COMMENT ON COLUMN tasks.todos.metadata IS 'What the application wants to keep with the todo';

-- The work list: one status, most urgent first; it also serves the foreign key.
CREATE INDEX idx_todos_tenant_id_status_priority_created_at
  ON tasks.todos (tenant_id, status, priority, created_at);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON tasks.todos
  FOR EACH ROW EXECUTE FUNCTION pgsteward.set_updated_at();

ALTER TABLE tasks.todos ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasks.todos FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON tasks.todos AS PERMISSIVE USING (true) WITH CHECK (true);
CREATE POLICY tenant_isolation ON tasks.todos AS RESTRICTIVE
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
  WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON tasks.todos TO app;

-- migrate:down
DROP TABLE tasks.todos;
DROP SCHEMA tasks;
