CREATE TABLE t (id integer PRIMARY KEY, a text, c integer);
CREATE INDEX i ON t (c);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20);
