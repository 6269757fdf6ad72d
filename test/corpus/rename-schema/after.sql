CREATE SCHEMA store;
CREATE TYPE store.state AS ENUM ('new', 'paid');
CREATE TABLE store.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  state store.state NOT NULL DEFAULT 'new',
  total numeric CHECK (total >= 0),
  note text
);
CREATE INDEX orders_state_idx ON store.orders (state) WHERE state <> 'paid';
CREATE TABLE store.lines (order_id bigint REFERENCES store.orders, total numeric);
CREATE VIEW store.open_orders AS SELECT o.id, o.total, sum(l.total) AS lines FROM store.orders o JOIN store.lines l ON l.order_id = o.id WHERE o.state = 'new' GROUP BY o.id;
COMMENT ON COLUMN store.orders.total IS 'with tax';
COMMENT ON TABLE store.orders IS 'what is bought';
INSERT INTO store.orders (total, note) VALUES (3, 'a'), (5, 'b');
INSERT INTO store.lines VALUES (1, 2);
