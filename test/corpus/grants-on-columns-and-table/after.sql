CREATE TABLE orders (id int, total int);
GRANT INSERT ON orders TO pg_monitor;
GRANT SELECT (id, total), UPDATE (total) ON orders TO pg_monitor;
GRANT REFERENCES (total) ON orders TO pg_read_all_data WITH GRANT OPTION;
