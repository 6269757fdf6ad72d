CREATE FUNCTION f(OUT a integer, OUT b text) LANGUAGE sql AS $$SELECT 1, 'x'$$;
