CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0', COMBINEFUNC = int4pl, PARALLEL = SAFE);
COMMENT ON AGGREGATE total(integer) IS 'sum';
CREATE AGGREGATE middle(double precision ORDER BY anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra);
GRANT EXECUTE ON FUNCTION middle(double precision, anyelement) TO pg_monitor;
