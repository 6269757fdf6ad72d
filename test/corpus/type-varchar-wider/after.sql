CREATE TABLE s (id integer PRIMARY KEY, c varchar(20));
