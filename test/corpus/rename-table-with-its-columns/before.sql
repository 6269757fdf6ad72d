CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('new', 'paid');
CREATE TABLE shop.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state shop.state NOT NULL DEFAULT 'new',
  total numeric CHECK (total >= 0),
  note text
);
CREATE INDEX orders_state_idx ON shop.orders (state) WHERE state <> 'paid';
CREATE TABLE shop.lines (order_id bigint REFERENCES shop.orders, total numeric);
CREATE VIEW shop.open_orders AS SELECT o.id, o.total, sum(l.total) AS lines FROM shop.orders o JOIN shop.lines l ON l.order_id = o.id WHERE o.state = 'new' GROUP BY o.id;
COMMENT ON COLUMN shop.orders.total IS 'with tax';
COMMENT ON TABLE shop.orders IS 'what is bought';
INSERT INTO shop.orders (total, note) VALUES (3, 'a'), (5, 'b');
INSERT INTO shop.lines VALUES (1, 2);
