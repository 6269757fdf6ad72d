CREATE TABLE place (id integer CONSTRAINT place_id NOT NULL NO INHERIT, name text CONSTRAINT place_name NOT NULL NO INHERIT, code text NOT NULL, area integer NOT NULL, note text, extra integer DEFAULT 1 CONSTRAINT place_extra NOT NULL NO INHERIT);
CREATE TABLE city (mayor text) INHERITS (place);
CREATE TABLE village (mayor text) INHERITS (place);
ALTER TABLE place ADD CONSTRAINT place_note NOT NULL note NO INHERIT NOT VALID;
INSERT INTO place VALUES (1, 'one', 'a', 10, 'x');
INSERT INTO city VALUES (2, 'two', 'b', 20, 'y');
