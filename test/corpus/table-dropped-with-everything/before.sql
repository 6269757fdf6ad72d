CREATE TABLE t (id integer PRIMARY KEY, a text, b integer);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE TABLE u (id serial PRIMARY KEY, t_id integer REFERENCES t, note text CHECK (note <> ''));
CREATE INDEX u_idx ON u (t_id) WHERE note IS NOT NULL;
CREATE VIEW v AS SELECT u.id, t.a FROM u JOIN t ON t.id = u.t_id;
