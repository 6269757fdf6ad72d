CREATE SCHEMA app;
CREATE TABLE app.tenants (id uuid PRIMARY KEY);
