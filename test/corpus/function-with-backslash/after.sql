CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''a\b''';
COMMENT ON FUNCTION f() IS 'a \ and '' quote';
