CREATE TYPE state AS ENUM ('new', 'paid');
CREATE CAST (state AS text) WITH INOUT AS ASSIGNMENT;
CREATE FUNCTION to_state(text) RETURNS state LANGUAGE sql IMMUTABLE AS $$SELECT 'new'::state$$;
CREATE CAST (text AS state) WITH FUNCTION to_state(text);
