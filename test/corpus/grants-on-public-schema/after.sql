CREATE TABLE s (id integer);
GRANT CREATE ON SCHEMA public TO pg_monitor;
