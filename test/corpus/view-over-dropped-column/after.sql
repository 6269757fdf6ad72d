CREATE TABLE t (id integer PRIMARY KEY, a text);
CREATE VIEW v AS SELECT a, id AS b FROM t;
