CREATE TABLE people (id serial PRIMARY KEY, name text UNIQUE);
INSERT INTO people (name) VALUES ('a'), ('b');
