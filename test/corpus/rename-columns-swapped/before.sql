CREATE TABLE t (a integer NOT NULL, b integer CHECK (b > 0));
CREATE INDEX t_a ON t (a);
INSERT INTO t VALUES (1, 2);
