CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple);
CREATE TABLE texts (id int, body text);
CREATE INDEX texts_body_idx ON texts USING gin (to_tsvector('mine'::regconfig, body));
