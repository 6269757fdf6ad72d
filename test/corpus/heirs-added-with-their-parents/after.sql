CREATE TABLE shelf (id int);
CREATE TABLE thing (id int PRIMARY KEY, label text, CONSTRAINT thing_id CHECK (id > 0));
CREATE TABLE book (pages int CHECK (pages > 0)) INHERITS (thing);
CREATE TABLE atlas () INHERITS (book);
