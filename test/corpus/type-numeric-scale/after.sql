CREATE TABLE s (id integer PRIMARY KEY, c numeric(12,4));
