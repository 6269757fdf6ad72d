CREATE TABLE t (id integer CONSTRAINT new_pk PRIMARY KEY, a integer CONSTRAINT new_ck CHECK (a > 0), b integer CONSTRAINT new_uq UNIQUE);
CREATE INDEX new_idx ON t (a) WHERE a > 5;
COMMENT ON CONSTRAINT new_ck ON t IS 'positive';
INSERT INTO t VALUES (1, 2, 3);
