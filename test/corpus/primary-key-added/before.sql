CREATE TABLE s (id integer, a text);
INSERT INTO s VALUES (1, 'x');
