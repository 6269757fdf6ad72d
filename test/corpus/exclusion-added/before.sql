CREATE TABLE s (r int4range);
INSERT INTO s VALUES ('[1,3)');
