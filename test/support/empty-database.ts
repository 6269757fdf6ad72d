// Takes everything out of an embedded database that a test can have put there, so that the next test finds it as new.
import type { Database } from "../../src/postgres/index.ts";

// Not DISCARD ALL: it would drop prepared statements that the driver believes in. DO instead of one query per kind: dropping one thing takes others along, so each drop looks at what is left.
const EMPTY_SQL = `
RESET SESSION AUTHORIZATION;
RESET ROLE;
RESET ALL;
CLOSE ALL;
UNLISTEN *;
SELECT pg_catalog.pg_advisory_unlock_all();
DISCARD TEMP;
DISCARD SEQUENCES;
DO $$
DECLARE
  thing record;
BEGIN
  FOR thing IN SELECT evtname AS name FROM pg_catalog.pg_event_trigger LOOP
    EXECUTE format('DROP EVENT TRIGGER IF EXISTS %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT pubname AS name FROM pg_catalog.pg_publication LOOP
    EXECUTE format('DROP PUBLICATION IF EXISTS %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' LOOP
    EXECUTE format('DROP EXTENSION IF EXISTS %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT fdwname AS name FROM pg_catalog.pg_foreign_data_wrapper LOOP
    EXECUTE format('DROP FOREIGN DATA WRAPPER IF EXISTS %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN
    SELECT nspname AS name FROM pg_catalog.pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
  LOOP
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT amname AS name FROM pg_catalog.pg_am WHERE oid >= 16384 LOOP
    EXECUTE format('DROP ACCESS METHOD IF EXISTS %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN
    SELECT format('%s AS %s', castsource::regtype, casttarget::regtype) AS name FROM pg_catalog.pg_cast WHERE oid >= 16384
  LOOP
    EXECUTE format('DROP CAST (%s)', thing.name);
  END LOOP;
  PERFORM lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata;
  FOR thing IN
    SELECT rolname AS name FROM pg_catalog.pg_roles WHERE oid >= 16384 AND rolname <> current_user
  LOOP
    EXECUTE format('DROP OWNED BY %I CASCADE', thing.name);
    EXECUTE format('DROP ROLE %I', thing.name);
  END LOOP;
  EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
  ALTER ROLE ALL RESET ALL;
  EXECUTE format('ALTER ROLE %I RESET ALL', current_user);
END
$$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
COMMENT ON SCHEMA public IS 'standard public schema';
GRANT USAGE ON SCHEMA public TO PUBLIC;`;

export async function emptyDatabase(database: Database): Promise<void> {
  await database.exec(EMPTY_SQL);
}
