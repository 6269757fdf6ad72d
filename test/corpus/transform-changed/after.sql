CREATE FUNCTION from_sql(internal) RETURNS internal LANGUAGE internal IMMUTABLE STRICT AS 'prefixsel';
CREATE FUNCTION to_sql(internal) RETURNS point LANGUAGE internal IMMUTABLE STRICT AS 'prefixsel';
CREATE TRANSFORM FOR point LANGUAGE plpgsql (FROM SQL WITH FUNCTION from_sql(internal), TO SQL WITH FUNCTION to_sql(internal));
COMMENT ON TRANSFORM FOR point LANGUAGE plpgsql IS 'both ways';
CREATE FUNCTION twice(p point) RETURNS point LANGUAGE plpgsql TRANSFORM FOR TYPE point AS 'BEGIN RETURN p; END';
