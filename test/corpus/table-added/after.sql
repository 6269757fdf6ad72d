CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE TABLE u (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), t_id integer NOT NULL REFERENCES t, at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON u (t_id);
