CREATE TABLE orders (id int, total int);
GRANT SELECT, INSERT ON orders TO pg_monitor WITH GRANT OPTION;
GRANT SELECT (id), UPDATE (total) ON orders TO pg_monitor;
GRANT ALL ON orders TO pg_read_all_data;
GRANT INSERT (total), REFERENCES (total) ON orders TO pg_read_all_data WITH GRANT OPTION;
