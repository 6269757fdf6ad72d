CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE TABLE u (id integer);
CREATE POLICY p ON t USING (id IN (SELECT id FROM u));
CREATE POLICY p ON u USING (id IN (SELECT id FROM t));
