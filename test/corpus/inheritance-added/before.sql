CREATE TABLE animals (id integer, name text);
