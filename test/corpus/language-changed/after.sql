CREATE FUNCTION call() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION inline(internal) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION validate(oid) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED LANGUAGE plmine HANDLER call VALIDATOR validate;
REVOKE USAGE ON LANGUAGE plmine FROM PUBLIC;
GRANT USAGE ON LANGUAGE plmine TO pg_monitor;
CREATE FUNCTION seven() RETURNS integer LANGUAGE plmine AS 'BEGIN RETURN 7; END';
