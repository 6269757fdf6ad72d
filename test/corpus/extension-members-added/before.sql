CREATE EXTENSION citext;
CREATE TYPE state AS ENUM ('open', 'done');
CREATE TABLE notes (id integer PRIMARY KEY, state state, size integer CHECK (size > 0));
COMMENT ON TABLE notes IS 'kept';
COMMENT ON COLUMN notes.size IS 'in bytes';
CREATE VIEW open_notes AS SELECT id FROM notes WHERE state = 'open';
CREATE FUNCTION hello() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER EXTENSION citext ADD FUNCTION hello();
CREATE SCHEMA apart;
