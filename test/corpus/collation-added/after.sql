CREATE COLLATION natural_order (provider = icu, locale = 'en-u-kn', deterministic = false);
COMMENT ON COLLATION natural_order IS 'a2 before a10';
CREATE TABLE people (id int, name text COLLATE natural_order);
CREATE INDEX people_name_idx ON people (name);
CREATE DOMAIN word AS text COLLATE natural_order;
