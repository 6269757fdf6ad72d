CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, total int);
CREATE VIEW totals AS SELECT id, total FROM orders;
GRANT SELECT (id) ON totals TO pg_monitor;
GRANT UPDATE (id) ON orders TO pg_monitor;
GRANT USAGE ON SEQUENCE orders_id_seq TO pg_monitor;
