CREATE TABLE thing (id bigint, label text, shelf int DEFAULT 3, CHECK (id >= 1));
CREATE TABLE dated (day date, CONSTRAINT dated_day CHECK (day > '2000-01-01'));
CREATE TABLE book (pages int) INHERITS (thing, dated);
