CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE UNIQUE INDEX i1 ON t (lower(a), b DESC NULLS LAST) INCLUDE (id) WITH (fillfactor = 80) WHERE b > 0;
CREATE INDEX i2 ON t USING hash (a);
CREATE INDEX i3 ON t (a text_pattern_ops);
CREATE INDEX i4 ON t (a COLLATE "C");
CREATE INDEX i5 ON t USING brin (b) WITH (pages_per_range = 32);
