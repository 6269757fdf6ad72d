CREATE TABLE s (id integer PRIMARY KEY, c numeric(10,2));
INSERT INTO s VALUES (1, 1.25);
