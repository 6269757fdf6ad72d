CREATE TABLE orders (id integer PRIMARY KEY, state text, weight numeric);
INSERT INTO orders VALUES (1, 'new', 1.5), (2, 'sent', 2);
CREATE TABLE states (name text);
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE VIEW known AS
  SELECT id, (SELECT 'x' LIMIT 1) AS mark FROM orders
  WHERE state IN (SELECT 'new' UNION SELECT name FROM states) OR EXISTS (SELECT NULL FROM states)
    OR weight IN (SELECT 1.5 UNION ALL SELECT -1 UNION ALL SELECT id + 1 FROM orders);
CREATE VIEW kinds AS SELECT u.what, u.note FROM (SELECT 'a'::kind AS what, 'x' AS note UNION ALL SELECT 'b', NULL UNION ALL VALUES ('a'::kind, 'y')) AS u;
CREATE VIEW named AS SELECT u.text, u.date FROM (SELECT 'a'::text AS text, now()::date AS date UNION SELECT state::text AS text, (now() AT TIME ZONE 'UTC')::date AS date FROM orders) AS u;
CREATE MATERIALIZED VIEW marks AS WITH mark AS (SELECT 'a' AS name UNION SELECT 'b') SELECT name, 'z' AS note FROM mark EXCEPT SELECT 'r', NULL;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY orders_seen ON orders USING (state IN (SELECT 'new' UNION ALL SELECT 'sent'));
CREATE FUNCTION names() RETURNS TABLE (name text) LANGUAGE sql BEGIN ATOMIC SELECT 'a' UNION ALL SELECT 'b'; END;
CREATE RULE orders_states AS ON DELETE TO orders DO ALSO INSERT INTO states (name) SELECT 'x' UNION ALL SELECT 'y';
