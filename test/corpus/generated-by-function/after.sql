CREATE FUNCTION twice(i integer, j integer DEFAULT 1) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT i * 2 * j';
CREATE TABLE s (a integer, d integer GENERATED ALWAYS AS (twice(a)) STORED);
