CREATE FUNCTION f(i integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT i';
CREATE VIEW v AS SELECT f(1) AS x;
CREATE TABLE s (a integer CHECK (f(a) > 0), b integer DEFAULT f(2));
CREATE INDEX s_f ON s (f(a));
