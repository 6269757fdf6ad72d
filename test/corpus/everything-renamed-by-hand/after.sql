CREATE TABLE items (id integer PRIMARY KEY, label text, b integer);
CREATE INDEX items_label ON items (label);
CREATE VIEW v AS SELECT label AS a FROM items;
