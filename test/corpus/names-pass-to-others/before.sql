CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer, CONSTRAINT t_key UNIQUE (b));
INSERT INTO t VALUES (1, 10, 11), (2, 20, 21);
CREATE TABLE u (c integer);
CREATE INDEX x ON t (a);
CREATE INDEX p ON t (id, a);
CREATE INDEX q ON u (c);
CREATE INDEX z ON u (c DESC);
CREATE VIEW y AS SELECT 1 AS one;
CREATE VIEW key_of_b AS SELECT 2 AS two;
