CREATE TABLE animals (id integer CONSTRAINT id_ok CHECK (id > 0), name text NOT NULL);
CREATE TABLE cats (lives integer) INHERITS (animals);
