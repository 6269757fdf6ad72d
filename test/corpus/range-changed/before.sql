CREATE TYPE span AS RANGE (subtype = integer);
CREATE TABLE s (r span);
INSERT INTO s VALUES ('[1,2]');
