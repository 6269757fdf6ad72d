CREATE TABLE s (id integer NOT NULL, k integer CONSTRAINT s_k_pkey PRIMARY KEY);
