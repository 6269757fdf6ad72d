CREATE TABLE s (id integer, a text COLLATE "C");
INSERT INTO s VALUES (1, 'x');
