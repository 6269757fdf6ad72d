CREATE TABLE s (id integer PRIMARY KEY, c inet);
INSERT INTO s VALUES (1, '10.0.0.1');
