CREATE TABLE place (id integer NOT NULL, name text, code text NOT NULL, area integer CONSTRAINT place_area NOT NULL NO INHERIT, note text);
CREATE TABLE city (mayor text) INHERITS (place);
CREATE TABLE village (mayor text, CONSTRAINT village_area NOT NULL area NO INHERIT) INHERITS (place);
INSERT INTO place VALUES (1, 'one', 'a', 10, 'x');
INSERT INTO city VALUES (2, 'two', 'b', 20, 'y', 'm');
