CREATE TABLE t (id integer, old text, state text);
INSERT INTO t VALUES (1, 'x', 'y');
