CREATE TABLE s (id serial PRIMARY KEY, name text UNIQUE);
INSERT INTO s (name) VALUES ('a'), ('b');
