CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE orders (id int, state state);
CREATE FUNCTION state_number(state) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE CAST (state AS integer) WITH FUNCTION state_number(state) AS IMPLICIT;
COMMENT ON CAST (state AS integer) IS 'by position';
CREATE VIEW numbers AS SELECT id, state::integer AS number FROM orders;
