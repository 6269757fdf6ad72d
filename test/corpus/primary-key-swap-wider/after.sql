CREATE TABLE s (id integer, k integer, CONSTRAINT s_pk PRIMARY KEY (id, k));
INSERT INTO s VALUES (1, 5);
