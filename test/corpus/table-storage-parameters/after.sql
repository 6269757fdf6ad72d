CREATE TABLE s (id integer, b text) WITH (fillfactor = 90, autovacuum_enabled = false, toast.autovacuum_enabled = false);
