CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE POLICY p ON t FOR UPDATE TO pg_monitor USING (b > 1) WITH CHECK (b > 2);
