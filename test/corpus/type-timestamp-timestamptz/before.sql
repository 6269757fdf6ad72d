CREATE TABLE s (id integer PRIMARY KEY, c timestamp);
INSERT INTO s VALUES (1, '2024-01-01');
