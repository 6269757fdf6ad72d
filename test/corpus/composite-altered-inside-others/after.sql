CREATE TYPE amount AS (units bigint, currency text);
CREATE TYPE order_line AS (label text, price amount);
CREATE TABLE orders (id integer PRIMARY KEY, first order_line);
INSERT INTO orders VALUES (1, ROW('one', ROW(5, 'eur')::amount)::order_line), (2, NULL);
