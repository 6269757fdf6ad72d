CREATE TABLE orders (id int PRIMARY KEY, total bigint);
CREATE SCHEMA other;
CREATE PUBLICATION news FOR TABLE orders (id) WHERE (total > 3 AND id > 0);
ALTER TABLE orders REPLICA IDENTITY FULL;
