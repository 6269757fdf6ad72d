CREATE TYPE prices AS RANGE (subtype = numeric, multirange_type_name = many_prices);
COMMENT ON TYPE prices IS 'from to';
COMMENT ON TYPE many_prices IS 'several';
