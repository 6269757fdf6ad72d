CREATE TABLE orders (id integer PRIMARY KEY, state text, weight numeric);
INSERT INTO orders VALUES (1, 'new', 1.5), (2, 'sent', 2);
CREATE TABLE states (name text);
