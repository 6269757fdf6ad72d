CREATE TABLE items (id bigint);
CREATE FUNCTION backwards(bigint, bigint) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS 'SELECT btint8cmp($2, $1)';
CREATE OPERATOR CLASS int8_backwards FOR TYPE bigint USING btree AS
  OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 backwards(bigint, bigint);
CREATE INDEX items_id_idx ON items (id int8_backwards);
