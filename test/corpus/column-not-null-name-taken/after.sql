CREATE TABLE t (id integer PRIMARY KEY, a text NOT NULL, b integer NOT NULL, CONSTRAINT t_a_not_null CHECK (a <> ''), CONSTRAINT t_b_not_null CHECK (b > 0), CONSTRAINT t_b_not_null_check CHECK (b < 99));
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20);
