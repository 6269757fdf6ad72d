CREATE TEXT SEARCH PARSER words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH CONFIGURATION mine (PARSER = words);
ALTER TEXT SEARCH CONFIGURATION mine ADD MAPPING FOR word WITH simple;
CREATE TABLE texts (id int, body text);
CREATE INDEX texts_body_idx ON texts USING gin (to_tsvector('mine'::regconfig, body));
