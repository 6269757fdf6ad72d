CREATE TABLE s (id integer NOT NULL);
CREATE UNIQUE INDEX s_key ON s (id);
