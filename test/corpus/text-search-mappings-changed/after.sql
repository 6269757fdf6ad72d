CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION mine DROP MAPPING FOR url, host;
ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR word WITH english_stem, simple;
ALTER TEXT SEARCH CONFIGURATION mine ADD MAPPING FOR tag WITH simple;
CREATE TABLE texts (id int, body text);
CREATE INDEX texts_body_idx ON texts USING gin (to_tsvector('mine'::regconfig, body));
