CREATE TABLE orders (day date NOT NULL, shop integer NOT NULL, note text, PRIMARY KEY (day, shop)) PARTITION BY RANGE (day);
CREATE INDEX orders_note ON orders (note);
