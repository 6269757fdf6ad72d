CREATE TABLE thing (id int, label text NOT NULL, CHECK (id > 0));
CREATE TABLE dated (day date, CONSTRAINT dated_day CHECK (day > '2000-01-01'));
CREATE TABLE book (pages int) INHERITS (thing);
INSERT INTO book VALUES (1, 'Atlas', 80);
