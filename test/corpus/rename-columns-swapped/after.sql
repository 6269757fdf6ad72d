CREATE TABLE t (b integer NOT NULL, a integer CONSTRAINT t_b_check CHECK (a > 0));
CREATE INDEX t_a ON t (b);
INSERT INTO t VALUES (1, 2);
