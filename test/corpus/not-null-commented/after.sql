CREATE TABLE orders (id int NOT NULL, total int CONSTRAINT orders_total_known NOT NULL);
COMMENT ON CONSTRAINT orders_id_not_null ON orders IS 'always known';
COMMENT ON CONSTRAINT orders_total_known ON orders IS 'since June';
