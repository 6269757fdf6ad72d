CREATE TYPE later;
COMMENT ON TYPE later IS 'to come';
