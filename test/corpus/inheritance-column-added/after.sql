CREATE TABLE animals (id integer, name text, born date DEFAULT '2020-01-01');
CREATE TABLE cats (lives integer) INHERITS (animals);
