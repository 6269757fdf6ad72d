CREATE TABLE s (id integer PRIMARY KEY, c text);
INSERT INTO s VALUES (1, 'abc');
