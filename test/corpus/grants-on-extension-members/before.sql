CREATE EXTENSION pg_trgm;
GRANT EXECUTE ON FUNCTION set_limit(real) TO pg_monitor;
COMMENT ON EXTENSION pg_trgm IS 'how alike two texts are';
