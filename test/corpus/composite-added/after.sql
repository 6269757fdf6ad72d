CREATE TYPE address AS (street text, city text COLLATE "C", lines integer[]);
COMMENT ON COLUMN address.street IS 'with number';
CREATE TABLE s (home address);
