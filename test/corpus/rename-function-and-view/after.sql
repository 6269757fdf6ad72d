CREATE FUNCTION doubled(n integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN n * 2;
CREATE TABLE t (a integer DEFAULT doubled(4), CHECK (doubled(a) > 0));
CREATE VIEW doubles AS SELECT doubled(a) AS d FROM t;
CREATE VIEW w AS SELECT d FROM doubles;
GRANT SELECT ON doubles TO PUBLIC;
INSERT INTO t VALUES (3);
