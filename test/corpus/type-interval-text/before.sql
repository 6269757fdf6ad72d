CREATE TABLE s (id integer PRIMARY KEY, c interval);
INSERT INTO s VALUES (1, '1 day');
