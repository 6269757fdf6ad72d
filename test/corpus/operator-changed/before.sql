CREATE TABLE items (id bigint);
CREATE OPERATOR <<< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = int8lt, HASHES);
CREATE VIEW small AS SELECT id FROM items WHERE id <<< 10;
CREATE INDEX items_small_idx ON items (id) WHERE id <<< 10;
