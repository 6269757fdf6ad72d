CREATE TABLE shops (id integer PRIMARY KEY);
CREATE TABLE orders (day date NOT NULL, shop integer, CONSTRAINT orders_shop_fkey FOREIGN KEY (shop) REFERENCES shops) PARTITION BY RANGE (day);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE orders_3 (day date NOT NULL, shop integer, CONSTRAINT orders_shop_fkey FOREIGN KEY (shop) REFERENCES shops);
CREATE TABLE orders_4 (day date NOT NULL, shop integer);
CREATE TABLE orders_5 (day date NOT NULL, shop integer, CONSTRAINT orders_shop_fkey FOREIGN KEY (shop) REFERENCES shops ON DELETE CASCADE);
