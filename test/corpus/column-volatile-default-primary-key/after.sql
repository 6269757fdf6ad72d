CREATE TABLE t (name text, id uuid DEFAULT gen_random_uuid() PRIMARY KEY);
INSERT INTO t VALUES ('a'), ('b');
