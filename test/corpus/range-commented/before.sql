CREATE TYPE prices AS RANGE (subtype = numeric, multirange_type_name = many_prices);
