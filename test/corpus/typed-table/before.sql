CREATE TYPE addr AS (street text, zip text);
