CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, b integer);
INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
