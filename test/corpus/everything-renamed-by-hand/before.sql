CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE INDEX t_a ON t (a);
CREATE VIEW v AS SELECT a FROM t;
