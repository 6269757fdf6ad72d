CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20);
CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t;
CREATE INDEX m_i ON m (id);
