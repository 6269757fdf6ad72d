// The corpus of schema pairs, and what is done with each: build, plan, apply, read back, plan back, apply, read back, up again.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { compareCatalogs, printCatalog, readCatalog, type Catalog, type Change } from "../../src/catalog/index.ts";
import { planMigration, readRenameHints, reverseRenames, type Plan, type Rename } from "../../src/migrate/index.ts";
import { preparedReads } from "../../src/migrate/verify/prepared-reads.ts";
import { identifier, type Connection, type Database } from "../../src/postgres/index.ts";

const FOLDER = fileURLToPath(new URL("../corpus/", import.meta.url));

export interface CorpusCase {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  /** The case's `renames.txt`, if it has one. */
  readonly renames: readonly Rename[];
}

export const CORPUS: readonly CorpusCase[] = readdirSync(FOLDER)
  .sort()
  .map((name) => ({
    name,
    before: readFileSync(`${FOLDER}${name}/before.sql`, "utf8"),
    after: readFileSync(`${FOLDER}${name}/after.sql`, "utf8"),
    renames: existsSync(`${FOLDER}${name}/renames.txt`)
      ? readRenameHints(readFileSync(`${FOLDER}${name}/renames.txt`, "utf8"))
      : [],
  }));

// A database of its own for each case would cost more than all the statements in it.
const CLEAN_SQL = `
DO $$
DECLARE
  thing record;
BEGIN
  FOR thing IN SELECT evtname AS name FROM pg_catalog.pg_event_trigger LOOP
    EXECUTE format('DROP EVENT TRIGGER %I', thing.name);
  END LOOP;
  FOR thing IN SELECT pubname AS name FROM pg_catalog.pg_publication LOOP
    EXECUTE format('DROP PUBLICATION %I', thing.name);
  END LOOP;
  FOR thing IN SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' LOOP
    EXECUTE format('DROP EXTENSION %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT fdwname AS name FROM pg_catalog.pg_foreign_data_wrapper LOOP
    EXECUTE format('DROP FOREIGN DATA WRAPPER %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN SELECT amname AS name FROM pg_catalog.pg_am WHERE oid >= 16384 LOOP
    EXECUTE format('DROP ACCESS METHOD %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN
    SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I', pg_get_userbyid(d.defaclrole)) AS change, kind.word, kind.everybody,
      (SELECT string_agg(DISTINCT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(e.grantee)) END, ', ')
        FROM aclexplode(d.defaclacl) AS e) AS grantees,
      quote_ident(pg_get_userbyid(d.defaclrole)) AS owner
    FROM pg_catalog.pg_default_acl AS d
    JOIN (VALUES ('r', 'TABLES', NULL), ('S', 'SEQUENCES', NULL), ('f', 'FUNCTIONS', 'EXECUTE'), ('T', 'TYPES', 'USAGE'),
      ('n', 'SCHEMAS', NULL)) AS kind (letter, word, everybody) ON kind.letter = d.defaclobjtype::text
    WHERE d.defaclnamespace = 0
  LOOP
    IF thing.grantees IS NOT NULL THEN
      EXECUTE format('%s REVOKE ALL ON %s FROM %s', thing.change, thing.word, thing.grantees);
    END IF;
    EXECUTE format('%s GRANT ALL ON %s TO %s', thing.change, thing.word, thing.owner);
    IF thing.everybody IS NOT NULL THEN
      EXECUTE format('%s GRANT %s ON %s TO PUBLIC', thing.change, thing.everybody, thing.word);
    END IF;
  END LOOP;
  FOR thing IN SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', thing.name);
  END LOOP;
  FOR thing IN
    SELECT format('%s AS %s', castsource::regtype, casttarget::regtype) AS name FROM pg_catalog.pg_cast WHERE oid >= 16384
  LOOP
    EXECUTE format('DROP CAST (%s)', thing.name);
  END LOOP;
END
$$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
COMMENT ON SCHEMA public IS 'standard public schema';
GRANT USAGE ON SCHEMA public TO PUBLIC;`;

/** The server does not take the SQL of a case itself, e.g. because it is older than what the case is about. */
export class RefusedCaseError extends Error {}

/**
 * A pair has six readings. Most of the time of one goes into planning its queries, so they are prepared and planned once.
 *
 * @param includeDependencies - false for a catalog that is only compared
 */
export async function read(database: Database, includeDependencies = true): Promise<Catalog> {
  await using connection = await database.connect();
  await connection.exec("SET plan_cache_mode = force_generic_plan");
  return await readCatalog(preparedReads(connection), { includeDependencies });
}

async function buildToCompare(database: Database, sql: string): Promise<Catalog> {
  await database.exec(CLEAN_SQL);
  await database.exec(sql);
  return read(database, false);
}

export async function buildCase(database: Database, sql: string): Promise<Catalog> {
  await database.exec(CLEAN_SQL);
  try {
    await database.exec(sql);
  } catch (error) {
    throw new RefusedCaseError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  return read(database);
}

export interface Journey {
  readonly up: Plan;
  readonly down: Plan;
  /** What is still different after up, after down, after up again. */
  readonly leftAfterUp: readonly Change[];
  readonly leftAfterDown: readonly Change[];
  readonly leftAfterSecondUp: readonly Change[];
  /** Tables whose kept columns held other rows after up, or after down. */
  readonly lostRows: readonly string[];
  /** What differs in a database built from the printed form of `after`. */
  readonly differentWhenPrinted: readonly Change[];
}

/** Goes up, down and up in one database; throws with the statement that the server refuses. */
export async function travel(database: Database, { before, after, renames }: CorpusCase): Promise<Journey> {
  const wanted = await buildCase(database, after);
  const printed = await buildToCompare(database, printCatalog(wanted));
  const original = await buildCase(database, before);
  const kept = keptColumns(original, wanted, renames);
  const rows = await fingerprints(database, kept);
  const lost = new Set<string>();
  const noteLost = async (): Promise<void> => {
    for (const [table, print] of await fingerprints(database, kept)) if (rows.get(table) !== print) lost.add(table);
  };

  const up = planMigration(original, wanted, { renames });
  await applyPlan(database, up);
  const reached = await read(database);
  await noteLost();
  const down = planMigration(reached, original, { renames: reverseRenames(renames, original) });
  await applyPlan(database, down);
  const back = await read(database);
  await noteLost();
  await applyPlan(database, planMigration(back, wanted, { renames }));
  const again = await read(database, false);
  return {
    up,
    down,
    leftAfterUp: compareCatalogs(reached, wanted),
    leftAfterDown: compareCatalogs(back, original),
    leftAfterSecondUp: compareCatalogs(again, wanted),
    lostRows: [...lost],
    differentWhenPrinted: compareCatalogs(printed, wanted),
  };
}

export async function applyPlan(database: Database, plan: Plan): Promise<void> {
  await using connection = await database.connect();
  let open: number | undefined;
  for (const { sql, transactionGroup, inTransaction } of plan.steps) {
    if (open !== undefined && open !== transactionGroup) {
      await run(connection, "COMMIT");
      open = undefined;
    }
    if (inTransaction && open === undefined) {
      await run(connection, "BEGIN");
      open = transactionGroup;
    }
    await run(connection, sql);
  }
  if (open !== undefined) await run(connection, "COMMIT");
}

async function run(connection: Connection, sql: string): Promise<void> {
  try {
    await connection.exec(sql);
  } catch (error) {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${sql}`, { cause: error });
  }
}

/** Whether the pair changes how values of a type are written: a renamed value of an enum, another delimiter in arrays. */
function isSpelledOtherwise(type: string, before: Catalog, after: Catalog, renames: readonly Rename[]): boolean {
  const element = type.replace(/(?:\[\])+$/, "");
  const isOf = ({ schema, name }: { readonly schema: string; readonly name: string }): boolean =>
    element === name || element === `${schema}.${name}`;
  const delimiterIn = (catalog: Catalog): string | undefined => catalog.baseTypes.find(isOf)?.delimiter;
  const values = renames.filter(({ kind }) => kind === "enum value");
  const hasRenamedValue = before.enums.some(
    (candidate) => isOf(candidate) && values.some(({ from }) => from.includes(`${candidate.name}.`)),
  );
  return hasRenamedValue || delimiterIn(before) !== delimiterIn(after);
}

/** By table as SQL, the columns that both schemas have in the same form. */
function keptColumns(
  before: Catalog,
  after: Catalog,
  renames: readonly Rename[],
): ReadonlyMap<string, readonly string[]> {
  const kept = new Map<string, readonly string[]>();
  const renamed = new Set(
    renames.flatMap(({ kind, from, to }) => (kind === "column" ? [from.split(".").at(-1) ?? "", to] : [])),
  );
  for (const table of before.tables) {
    const other = after.tables.find(({ schema, name }) => schema === table.schema && name === table.name);
    if (other === undefined || other.kind !== table.kind || table.kind === "foreign") continue;
    const columns = table.columns.filter((column) => {
      if (renamed.has(column.name)) return false;
      const same = other.columns.find(({ name }) => name === column.name);
      return (
        same?.type === column.type &&
        column.generated === undefined &&
        same.generated === undefined &&
        !isSpelledOtherwise(column.type, before, after, renames)
      );
    });
    if (columns.length > 0)
      kept.set(
        identifier(table.schema, table.name),
        columns.map(({ name }) => identifier(name)),
      );
  }
  return kept;
}

async function fingerprints(
  database: Database,
  kept: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlyMap<string, string>> {
  const prints = new Map<string, string>();
  for (const [table, columns] of kept) {
    const { rows } = await database.query<{ print: string }>(
      `SELECT count(*) || ':' || coalesce(md5(string_agg(r::text, ';' ORDER BY r::text)), '') AS print
       FROM (SELECT ${columns.join(", ")} FROM ONLY ${table}) AS r`,
    );
    prints.set(table, rows[0]?.print ?? "");
  }
  return prints;
}
