// A throw-away database used again: everything is dropped, and whether nothing is left is looked at, not believed.
import { compareCatalogs, readCatalog, type Catalog } from "../../catalog/index.ts";
import { StewardError, type Database } from "../../postgres/index.ts";

const EMPTY_SQL = `
DO $$
DECLARE
  thing record;
BEGIN
  FOR thing IN SELECT evtname AS name FROM pg_catalog.pg_event_trigger LOOP
    EXECUTE pg_catalog.format('DROP EVENT TRIGGER %I', thing.name);
  END LOOP;
  FOR thing IN SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' LOOP
    EXECUTE pg_catalog.format('DROP EXTENSION IF EXISTS %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN
    SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  LOOP
    EXECUTE pg_catalog.format('DROP SCHEMA %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN
    SELECT DISTINCT r.rolname AS name
    FROM pg_catalog.pg_default_acl AS d
    JOIN pg_catalog.pg_roles AS r ON r.oid = d.defaclrole
    WHERE r.rolname <> current_user
  LOOP
    EXECUTE pg_catalog.format('DROP OWNED BY %I', thing.name);
  END LOOP;
END
$$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
COMMENT ON SCHEMA public IS 'standard public schema';
GRANT USAGE ON SCHEMA public TO PUBLIC;
DISCARD TEMP`;

/** Empties a database that is ours. False when it did not become again what it was: then another one is needed. */
export async function emptied(
  database: Database,
  original: Catalog,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await database.exec(EMPTY_SQL, { signal });
  } catch (error) {
    if (error instanceof StewardError && signal?.aborted !== true) return false;
    throw error;
  }
  return compareCatalogs(original, await readCatalog(database, { signal })).length === 0;
}

const OFFERED_SQL = `
SELECT count(*)::int4 AS offered
FROM pg_catalog.pg_available_extensions AS e
WHERE e.name = ANY ($1::text[])`;

export async function offersAll(database: Database, extensions: readonly string[]): Promise<boolean> {
  if (extensions.length === 0) return true;
  const { rows } = await database.query<{ offered: number }>(OFFERED_SQL, [extensions]);
  return rows[0]?.offered === extensions.length;
}
