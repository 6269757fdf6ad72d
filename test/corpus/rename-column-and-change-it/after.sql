CREATE TABLE t (id integer, size bigint NOT NULL CONSTRAINT t_n_check CHECK (size > 1));
INSERT INTO t VALUES (1, 4);
