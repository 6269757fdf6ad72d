CREATE TABLE thing (id int, label text NOT NULL DEFAULT 'none', weight int, CONSTRAINT thing_id CHECK (id > 0), CONSTRAINT thing_weight CHECK (weight > 0));
CREATE TABLE book (pages int) INHERITS (thing);
INSERT INTO book VALUES (1, 'Atlas', 5, 80);
