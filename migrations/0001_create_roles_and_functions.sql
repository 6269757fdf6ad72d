-- The role of the application, and the two functions every table of the platform uses.
-- The application connects as a login role that is a member of "app": it owns nothing and cannot bypass row-level security.

-- migrate:up
DO $$
BEGIN
  -- Roles belong to the whole server, so another database may have made this one already.
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'app') THEN
    CREATE ROLE app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'app' AND (rolsuper OR rolbypassrls)) THEN
    RAISE EXCEPTION 'the role "app" exists and bypasses row-level security'
      USING HINT = 'run ALTER ROLE app NOSUPERUSER NOBYPASSRLS, or give that role another name';
  END IF;
  -- A migrator that is no superuser must be allowed to act as app, as the sessions do.
  IF NOT pg_catalog.pg_has_role(current_user, 'app', 'MEMBER') THEN
    EXECUTE pg_catalog.format('GRANT app TO %I', current_user);
  END IF;
END
$$;

GRANT USAGE ON SCHEMA pgsteward TO app;

DO $$
BEGIN
  IF pg_catalog.current_setting('server_version_num')::int >= 180000 THEN
    CREATE FUNCTION pgsteward.uuidv7() RETURNS uuid
      LANGUAGE sql VOLATILE PARALLEL SAFE
      AS 'SELECT pg_catalog.uuidv7()';
  ELSE
    -- A random UUID whose first 48 bits are the time in milliseconds; the two bits set make its version 7 (4 | 3).
    CREATE FUNCTION pgsteward.uuidv7() RETURNS uuid
      LANGUAGE sql VOLATILE PARALLEL SAFE
      SET search_path = pg_catalog
      AS 'SELECT encode(
            set_bit(
              set_bit(
                overlay(
                  uuid_send(gen_random_uuid())
                  PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                  FROM 1 FOR 6
                ),
                52, 1
              ),
              53, 1
            ),
            ''hex''
          )::uuid';
  END IF;
END
$$;
COMMENT ON FUNCTION pgsteward.uuidv7() IS 'A UUID of version 7: ordered by time of creation. PostgreSQL''s own on 18, made here before.';

CREATE FUNCTION pgsteward.set_updated_at() RETURNS trigger
  LANGUAGE plpgsql
  SET search_path = pg_catalog
  AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION pgsteward.set_updated_at() IS 'Trigger: writes the time of the change into updated_at.';

-- migrate:down
DROP FUNCTION pgsteward.set_updated_at();
DROP FUNCTION pgsteward.uuidv7();
REVOKE USAGE ON SCHEMA pgsteward FROM app;
-- The role stays: other databases of the server may use it.
