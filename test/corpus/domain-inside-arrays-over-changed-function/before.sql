CREATE FUNCTION five() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 5';
CREATE DOMAIN quantity AS integer DEFAULT five() CHECK (VALUE > five() - 10);
CREATE DOMAIN small AS quantity DEFAULT five();
CREATE TYPE pack AS (each small);
CREATE TABLE stock (id integer PRIMARY KEY, packs pack, amounts small[]);
