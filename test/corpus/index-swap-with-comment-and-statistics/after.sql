CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20);
CREATE UNIQUE INDEX i ON t (lower(a), b);
ALTER INDEX i ALTER COLUMN 1 SET STATISTICS 300;
COMMENT ON INDEX i IS 'by name and number';
