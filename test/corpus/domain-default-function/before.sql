CREATE FUNCTION five() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 5';
CREATE FUNCTION most() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 100';
CREATE DOMAIN quantity AS integer DEFAULT five() CONSTRAINT quantity_most CHECK (VALUE <= most());
CREATE TABLE stock (id integer PRIMARY KEY, amount quantity);
