CREATE TABLE s (id serial PRIMARY KEY, a text);
INSERT INTO s (a) VALUES ('x'), ('y');
