CREATE TABLE s (id integer PRIMARY KEY, c varchar(10));
INSERT INTO s VALUES (1, 'x');
