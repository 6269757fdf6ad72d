CREATE FOREIGN DATA WRAPPER files OPTIONS (debug 'true', level '1');
CREATE SERVER archive VERSION '1.0' FOREIGN DATA WRAPPER files OPTIONS (host 'a', port '1');
CREATE USER MAPPING FOR PUBLIC SERVER archive OPTIONS ("user" 'me');
CREATE FOREIGN TABLE lines (id integer) SERVER archive;
CREATE VIEW ids AS SELECT id FROM lines;
