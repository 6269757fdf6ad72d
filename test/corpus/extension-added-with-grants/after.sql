CREATE TABLE t (id integer PRIMARY KEY);
CREATE EXTENSION pg_trgm VERSION '1.5';
COMMENT ON EXTENSION pg_trgm IS 'how alike two texts are';
GRANT EXECUTE ON FUNCTION set_limit(real) TO pg_monitor WITH GRANT OPTION;
