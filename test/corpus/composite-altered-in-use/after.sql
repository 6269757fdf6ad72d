CREATE TYPE address AS (street text, city varchar(20));
CREATE TABLE s (home address);
