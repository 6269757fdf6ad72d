CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE STATISTICS st (ndistinct, mcv) ON a, b FROM t;
ALTER STATISTICS st SET STATISTICS 200;
CREATE STATISTICS st2 ON (b + 1) FROM t;
