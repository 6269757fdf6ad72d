CREATE TABLE thing (id int PRIMARY KEY, amount int NOT NULL DEFAULT 1, label text);
ALTER TABLE thing ADD CONSTRAINT thing_amount CHECK (amount > 0) NOT VALID;
CREATE TABLE book (pages int) INHERITS (thing);
