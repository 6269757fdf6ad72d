CREATE SCHEMA app;
CREATE TABLE app.tenants (id uuid PRIMARY KEY, name text NOT NULL DEFAULT '');
CREATE TABLE app.users (tenant_id uuid NOT NULL REFERENCES app.tenants, id uuid NOT NULL, email text NOT NULL, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, email));
ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.users AS RESTRICTIVE USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT USAGE ON SCHEMA app TO pg_monitor;
GRANT SELECT ON ALL TABLES IN SCHEMA app TO pg_monitor;
