CREATE TABLE t (id integer, old text);
INSERT INTO t VALUES (1, 'y');
