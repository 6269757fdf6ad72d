CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE TYPE paint AS (colour colour, litres int);
CREATE DOMAIN warm AS colour CHECK (VALUE <> 'blue');
CREATE TABLE wall (id int, first colour DEFAULT 'red', more colour[] DEFAULT '{red,green}', mix paint, frame warm);
INSERT INTO wall VALUES (1, 'red', '{blue}', '(blue,3)', 'red');
CREATE FUNCTION mixed(colour, colour[]) RETURNS colour LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE INDEX wall_mixed ON wall (mixed(first, more));
