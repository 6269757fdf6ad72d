CREATE TABLE s (id integer, c varchar(10));
INSERT INTO s VALUES (1, 'x');
CREATE VIEW v AS SELECT c FROM s;
CREATE VIEW w AS SELECT c || '!' AS d FROM v;
