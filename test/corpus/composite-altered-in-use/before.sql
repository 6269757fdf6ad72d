CREATE TYPE address AS (street text, city varchar(10));
CREATE TABLE s (home address);
INSERT INTO s VALUES (ROW('a', 'b'));
