CREATE TYPE addr AS (street text, zip text);
CREATE TABLE s OF addr (street NOT NULL, zip DEFAULT '0');
