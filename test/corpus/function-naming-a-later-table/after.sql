CREATE TABLE zz (id integer);
CREATE FUNCTION aa() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.zz';
