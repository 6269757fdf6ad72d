CREATE TABLE s (id integer PRIMARY KEY, c double precision);
INSERT INTO s VALUES (1, 1.5);
