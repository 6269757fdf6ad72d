CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, total int);
CREATE VIEW totals AS SELECT id, total FROM orders;
GRANT SELECT (total) ON totals TO PUBLIC;
