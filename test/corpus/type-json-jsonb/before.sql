CREATE TABLE s (id integer PRIMARY KEY, c json);
INSERT INTO s VALUES (1, '{}');
