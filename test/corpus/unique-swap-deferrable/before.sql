CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20);
ALTER TABLE t ADD CONSTRAINT k UNIQUE (a);
COMMENT ON CONSTRAINT k ON t IS 'once';
