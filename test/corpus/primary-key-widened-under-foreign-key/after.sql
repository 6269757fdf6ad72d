CREATE TABLE s (x integer, id integer, PRIMARY KEY (x, id), UNIQUE (id));
ALTER TABLE s ALTER id SET NOT NULL;
CREATE TABLE r (s_id integer REFERENCES s (id));
