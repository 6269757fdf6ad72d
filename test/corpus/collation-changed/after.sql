CREATE COLLATION natural_order (provider = icu, locale = 'de-u-kn', deterministic = true);
CREATE TABLE people (id int, name text COLLATE natural_order);
CREATE INDEX people_name_idx ON people (name);
CREATE INDEX people_id_idx ON people ((id::text COLLATE natural_order));
CREATE VIEW sorted AS SELECT name FROM people ORDER BY name;
