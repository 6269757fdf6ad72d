CREATE TABLE s (id integer, b text) WITH (fillfactor = 70);
