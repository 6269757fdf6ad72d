CREATE TABLE t (id integer);
INSERT INTO t VALUES (1), (2);
