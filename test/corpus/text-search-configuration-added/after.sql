CREATE TEXT SEARCH PARSER words (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype,
  HEADLINE = prsd_headline);
CREATE TEXT SEARCH TEMPLATE plain (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY keep (TEMPLATE = plain, STOPWORDS = german);
CREATE TEXT SEARCH CONFIGURATION mine (PARSER = words);
ALTER TEXT SEARCH CONFIGURATION mine ADD MAPPING FOR word, asciiword WITH keep, pg_catalog.german_stem;
COMMENT ON TEXT SEARCH PARSER words IS 'a parser';
COMMENT ON TEXT SEARCH TEMPLATE plain IS 'a template';
COMMENT ON TEXT SEARCH DICTIONARY keep IS 'a dictionary';
COMMENT ON TEXT SEARCH CONFIGURATION mine IS 'a configuration';
CREATE TABLE texts (id int, body text, found tsvector GENERATED ALWAYS AS (to_tsvector('mine'::regconfig, body)) STORED);
CREATE INDEX texts_found_idx ON texts USING gin (found);
