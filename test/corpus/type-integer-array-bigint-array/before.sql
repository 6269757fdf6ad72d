CREATE TABLE s (id integer PRIMARY KEY, c integer[]);
INSERT INTO s VALUES (1, '{1,2}');
