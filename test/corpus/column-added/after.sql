CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
ALTER TABLE t ADD COLUMN c date, ADD COLUMN d numeric(10, 2) NOT NULL DEFAULT 1.5, ADD COLUMN e text[] NOT NULL DEFAULT '{}';
