CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE s (id integer, m mood DEFAULT 'ok', ms mood[]);
INSERT INTO s VALUES (1, 'ok', '{ok}');
CREATE VIEW v AS SELECT id, m FROM s WHERE m = 'ok';
CREATE INDEX s_ok ON s (id) WHERE m = 'ok';
ALTER TABLE s ADD CONSTRAINT m_ok CHECK (m <> 'sad');
CREATE FUNCTION f(x mood) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
