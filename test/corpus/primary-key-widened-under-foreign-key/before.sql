CREATE TABLE s (x integer, id integer, PRIMARY KEY (id));
CREATE TABLE r (s_id integer REFERENCES s);
INSERT INTO s VALUES (1, 2);
INSERT INTO r VALUES (2);
