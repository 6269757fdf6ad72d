CREATE TABLE orders (id int PRIMARY KEY, state text, total int);
CREATE TABLE lines (id int PRIMARY KEY, at date) PARTITION BY RANGE (id);
CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (0) TO (9);
CREATE SCHEMA other;
CREATE PUBLICATION news FOR TABLE orders (id, state) WHERE (id > 3), lines WITH (publish = 'insert, update', publish_via_partition_root = true);
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION others FOR TABLES IN SCHEMA other, TABLE orders;
CREATE PUBLICATION nothing;
COMMENT ON PUBLICATION news IS 'for the archive';
