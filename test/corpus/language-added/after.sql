CREATE SCHEMA other;
CREATE FUNCTION call() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION inline(internal) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION validate(oid) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE LANGUAGE plmine HANDLER call INLINE inline VALIDATOR validate;
COMMENT ON LANGUAGE plmine IS 'plpgsql under another name';
CREATE FUNCTION seven() RETURNS integer LANGUAGE plmine AS 'BEGIN RETURN 7; END';
