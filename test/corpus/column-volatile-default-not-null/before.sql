CREATE TABLE t (id integer PRIMARY KEY);
INSERT INTO t SELECT generate_series(1, 300);
