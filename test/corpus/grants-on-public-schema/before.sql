CREATE TABLE s (id integer);
