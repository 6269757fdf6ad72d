CREATE TYPE address AS (street text, zip text);
CREATE TYPE place AS (street text, zip text);
CREATE TABLE customers OF address (street NOT NULL, zip DEFAULT '0');
CREATE TABLE shops OF place;
CREATE TABLE depots (street text);
INSERT INTO customers VALUES ('Main Street 1', '12345');
INSERT INTO shops VALUES ('Side Street 2', '54321');
INSERT INTO depots VALUES ('Back Street 3');
