CREATE TABLE t (id integer PRIMARY KEY, token uuid NOT NULL DEFAULT gen_random_uuid(), seen timestamptz DEFAULT clock_timestamp());
CREATE UNIQUE INDEX t_token ON t (token);
INSERT INTO t SELECT generate_series(1, 300);
