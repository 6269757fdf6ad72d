CREATE TYPE span AS RANGE (subtype = bigint);
CREATE TABLE s (r span);
