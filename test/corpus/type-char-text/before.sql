CREATE TABLE s (id integer PRIMARY KEY, c char(5));
INSERT INTO s VALUES (1, 'ab');
