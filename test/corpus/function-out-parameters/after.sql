CREATE FUNCTION f(OUT a integer, OUT b text, OUT c integer) LANGUAGE sql AS $$SELECT 1, 'x', 2$$;
