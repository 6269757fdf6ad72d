CREATE TABLE t (id integer, n integer CHECK (n > 0));
INSERT INTO t VALUES (1, 4);
