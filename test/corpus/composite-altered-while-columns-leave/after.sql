CREATE TYPE size AS (height text, width text);
CREATE TABLE box (id int, size text);
