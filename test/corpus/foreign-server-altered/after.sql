CREATE FOREIGN DATA WRAPPER files VALIDATOR postgresql_fdw_validator;
CREATE SERVER archive VERSION '2.0' FOREIGN DATA WRAPPER files OPTIONS (host 'b', dbname 'c');
CREATE USER MAPPING FOR PUBLIC SERVER archive OPTIONS ("user" 'me', password 'x');
CREATE FOREIGN TABLE lines (id integer) SERVER archive;
CREATE VIEW ids AS SELECT id FROM lines;
