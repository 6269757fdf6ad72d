CREATE DOMAIN size AS varchar(5) CHECK (VALUE IN ('s', 'm', 'it''s [l]'));
CREATE TABLE orders (
  id integer PRIMARY KEY, state varchar(10) CHECK (state IN ('new', 'sent')), kind char(3), note text, tags text[] NOT NULL DEFAULT ARRAY[]::text[],
  is_open boolean GENERATED ALWAYS AS (state NOT IN ('sent', 'lost')) STORED,
  CONSTRAINT orders_kind CHECK (kind IN ('abc', 'abd') AND coalesce(state, note) IN ('new', 'sent'))
);
INSERT INTO orders VALUES (1, 'new', 'abc', 'x'), (2, 'sent', 'abd', 'y');
CREATE INDEX orders_open ON orders (id) WHERE state IN ('new', 'held');
CREATE INDEX orders_is_open ON orders ((state IN ('new', 'held')));
CREATE VIEW open_orders AS SELECT id, state IN ('new', 'held') AS waits FROM orders WHERE state NOT IN ('sent', 'lost');
CREATE STATISTICS orders_states ON (state IN ('new', 'held')), id FROM orders;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY orders_seen ON orders USING (state IN ('new', 'sent')) WITH CHECK (state IN ('new', 'held'));
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER orders_touched BEFORE UPDATE ON orders FOR EACH ROW WHEN (NEW.state IN ('new', 'sent')) EXECUTE FUNCTION touched();
CREATE FUNCTION is_known(state varchar DEFAULT 'new') RETURNS boolean LANGUAGE sql RETURN state IN ('new', 'sent');
CREATE FUNCTION as_written() RETURNS text[] LANGUAGE sql AS $$ SELECT (ARRAY['a'::varchar])::text[] $$;
