CREATE TABLE s (id integer, c varchar(30));
CREATE VIEW v AS SELECT c FROM s;
CREATE VIEW w AS SELECT c || '!' AS d FROM v;
