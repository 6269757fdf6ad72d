CREATE TABLE t (id integer PRIMARY KEY, a text, b integer, c date);
CREATE VIEW v AS SELECT * FROM t;
