CREATE TABLE thing (id int CHECK (id > 0), shelf text NOT NULL DEFAULT 'A');
CREATE TABLE book (isbn text UNIQUE) INHERITS (thing);
CREATE TABLE atlas (maps bigint) INHERITS (book);
CREATE INDEX atlas_by_shelf ON atlas (shelf);
