CREATE TABLE s (id integer, c text DEFAULT '5');
INSERT INTO s VALUES (1, '7');
