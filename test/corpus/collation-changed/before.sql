CREATE COLLATION natural_order (provider = icu, locale = 'en-u-kn', deterministic = false);
CREATE TABLE people (id int, name text COLLATE natural_order);
INSERT INTO people VALUES (1, 'a'), (2, 'b');
CREATE INDEX people_name_idx ON people (name);
CREATE INDEX people_id_idx ON people ((id::text COLLATE natural_order));
CREATE VIEW sorted AS SELECT name FROM people ORDER BY name;
