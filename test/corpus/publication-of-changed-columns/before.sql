CREATE TABLE orders (id int PRIMARY KEY, state text, total int);
CREATE TABLE lines (id int PRIMARY KEY, at date) PARTITION BY RANGE (id);
CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (0) TO (9);
CREATE SCHEMA other;
CREATE PUBLICATION news FOR TABLE orders (id, state) WHERE (total > 3 AND id > 0), lines;
ALTER TABLE orders REPLICA IDENTITY FULL;
