CREATE TABLE thing (id int, label text, note text);
CREATE TABLE book (pages int) INHERITS (thing);
INSERT INTO book VALUES (1, 'Atlas', 'old', 80);
