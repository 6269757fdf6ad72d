CREATE TABLE t (id integer CONSTRAINT old_pk PRIMARY KEY, a integer CONSTRAINT old_ck CHECK (a > 0), b integer CONSTRAINT old_uq UNIQUE);
CREATE INDEX old_idx ON t (a) WHERE a > 5;
COMMENT ON CONSTRAINT old_ck ON t IS 'positive';
INSERT INTO t VALUES (1, 2, 3);
