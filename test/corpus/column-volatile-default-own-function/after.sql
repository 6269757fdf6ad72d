CREATE FUNCTION made() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN random()::text; END$$;
CREATE FUNCTION steady() RETURNS text LANGUAGE sql STABLE RETURN 'x';
CREATE TABLE t (id integer, a text NOT NULL DEFAULT made(), b text NOT NULL DEFAULT steady());
INSERT INTO t VALUES (1), (2);
