CREATE TABLE animals (id integer, name text);
CREATE TABLE cats (lives integer) INHERITS (animals);
INSERT INTO cats VALUES (1, 'tom', 9);
