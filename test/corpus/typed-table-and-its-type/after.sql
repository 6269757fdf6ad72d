CREATE TYPE address AS (street text, zip integer, town text);
CREATE TABLE customers OF address (street NOT NULL, town DEFAULT 'Bonn');
CREATE TABLE shops (street text, zip text);
CREATE TABLE depots OF address;
