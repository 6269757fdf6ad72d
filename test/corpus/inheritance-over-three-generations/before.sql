CREATE TABLE thing (id int, label text);
CREATE TABLE book () INHERITS (thing);
CREATE TABLE atlas (maps int) INHERITS (book);
INSERT INTO atlas VALUES (1, 'World', 40);
