CREATE SCHEMA far;
CREATE FOREIGN DATA WRAPPER files OPTIONS (debug 'true');
CREATE SERVER archive TYPE 'cold' VERSION '1.0' FOREIGN DATA WRAPPER files OPTIONS (host 'example', "Port" '1');
CREATE USER MAPPING FOR PUBLIC SERVER archive OPTIONS ("user" 'me', password 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER archive;
CREATE FOREIGN TABLE far.lines (id integer OPTIONS (column_name 'ID') NOT NULL, body text DEFAULT 'none', CHECK (id > 0))
  SERVER archive OPTIONS (path '/tmp/x');
COMMENT ON FOREIGN TABLE far.lines IS 'from the archive';
COMMENT ON SERVER archive IS 'a server';
COMMENT ON FOREIGN DATA WRAPPER files IS 'a wrapper';
GRANT USAGE ON FOREIGN SERVER archive TO pg_monitor;
GRANT USAGE ON FOREIGN DATA WRAPPER files TO pg_monitor WITH GRANT OPTION;
