CREATE TABLE shops (id integer PRIMARY KEY);
CREATE TABLE orders (day date NOT NULL, shop integer, CONSTRAINT orders_shop_fkey FOREIGN KEY (shop) REFERENCES shops) PARTITION BY RANGE (day);
CREATE TABLE orders_1 (day date NOT NULL, shop integer, CONSTRAINT orders_shop_fkey FOREIGN KEY (shop) REFERENCES shops);
CREATE TABLE orders_2 (day date NOT NULL, shop integer);
CREATE TABLE orders_3 PARTITION OF orders FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE orders_4 PARTITION OF orders FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CREATE TABLE orders_5 PARTITION OF orders FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
