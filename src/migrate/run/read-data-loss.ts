// What applying the pending migrations would lose in this database: the statements that do away with rows or values, held against what is
// there. A table without rows has nothing to lose.
import {
  DatabaseError,
  identifier,
  SQLSTATE,
  type Connection,
  type Database,
  type Queryable,
} from "../../postgres/index.ts";
import { KEPT_SCHEMA } from "../drop/kept-names.ts";
import { losesValues } from "../lossy-type-change.ts";
import { parseType } from "../type-change.ts";
import type { DataLoss } from "./data-loss.ts";
import { losingStatements, type LosingStatement, type LosingTable, type LosingThing } from "./losing-statements.ts";
import type { PlannedMigration } from "./run-migrations.ts";
import type { RunMigrationsOptions } from "./run-options.ts";

export interface MigrationLosses {
  readonly migration: PlannedMigration;
  readonly losses: readonly DataLoss[];
}

/** Longest look into one table, and wait for a lock on it. A table that does not answer in time is taken to hold rows. */
const LOOK_LIMIT_MS = 5_000;
const LOCK_LIMIT_MS = 1_000;

/**
 * Tells which of the pending migrations lose rows or values of this database.
 *
 * Counted are DROP TABLE, COLUMN, SCHEMA and TYPE CASCADE, EXTENSION, DATABASE and OWNED, TRUNCATE, DELETE of every row, and type changes
 * that round, cut or replace values, also in DO blocks; not what EXECUTE puts together, nor UPDATE. What the migrations make themselves,
 * tables without rows, and columns whose values they keep in `pgsteward_kept` lose nothing. A table that may not be read is taken to hold rows.
 *
 * @param planned - of `previewMigrations(…, "up")`
 * @returns those that lose something, in their order
 */
export async function readDataLoss(
  database: Database,
  planned: readonly PlannedMigration[],
  options: Pick<RunMigrationsOptions, "schema" | "signal"> = {},
): Promise<readonly MigrationLosses[]> {
  const statements = await losingStatements(planned);
  if (statements.length === 0) return [];
  await using connection = await database.connect({ signal: options.signal });
  const reader = new LossQueries(connection, options);
  await connection.exec("BEGIN READ ONLY");
  try {
    const { schema } = options;
    await connection.exec(
      `SET LOCAL row_security = off; SET LOCAL lock_timeout = ${LOCK_LIMIT_MS}; SET LOCAL statement_timeout = ${LOOK_LIMIT_MS}${
        schema === undefined ? "" : `; SET LOCAL search_path = ${identifier(schema)}, public`
      }`,
    );
    const byMigration = new Map<PlannedMigration, DataLoss[]>();
    for (const statement of statements) {
      const { migration, line } = statement;
      const list = byMigration.get(migration) ?? [];
      byMigration.set(migration, list);
      for (const what of await reader.lostBy(statement))
        if (!list.some((loss) => loss.line === line && loss.what === what)) list.push({ line, what });
    }
    return [...byMigration].flatMap(([migration, losses]) => (losses.length === 0 ? [] : [{ migration, losses }]));
  } finally {
    await connection.exec("ROLLBACK");
  }
}

const TABLE_SQL = `
SELECT c.oid::text AS oid, c.relkind, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass($1::text)`;

const COLUMN_SQL = `
SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' AS is_generated
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = $1::oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped`;

const TABLES_OF_SCHEMA_SQL = `
SELECT c.oid::text AS oid, c.relkind, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname`;

const REFERRING_SQL = `
WITH RECURSIVE referring AS (
  SELECT con.conrelid AS oid FROM pg_catalog.pg_constraint AS con WHERE con.contype = 'f' AND con.confrelid = $1::oid
  UNION
  SELECT con.conrelid FROM pg_catalog.pg_constraint AS con JOIN referring AS r ON con.confrelid = r.oid WHERE con.contype = 'f'
)
SELECT c.oid::text AS oid, c.relkind, n.nspname AS schema, c.relname AS name
FROM referring AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid <> $1::oid
ORDER BY n.nspname, c.relname`;

/** Columns of a type, of arrays of it, and of what an extension brought. */
const COLUMNS_OF_TYPES_SQL = `
WITH doomed AS (
  SELECT t.oid FROM pg_catalog.pg_type AS t WHERE t.oid = pg_catalog.to_regtype($1::text)
  UNION
  SELECT d.objid
  FROM pg_catalog.pg_depend AS d
  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
  WHERE e.extname = $2 AND d.classid = 'pg_catalog.pg_type'::regclass AND d.refclassid = 'pg_catalog.pg_extension'::regclass
    AND d.deptype = 'e'
)
SELECT c.oid::text AS oid, c.relkind, n.nspname AS schema, c.relname AS name, a.attname AS column
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE (a.atttypid IN (SELECT oid FROM doomed) OR t.typelem IN (SELECT oid FROM doomed) AND t.typcategory = 'A')
  AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY n.nspname, c.relname, a.attnum`;

const TABLES_OF_EXTENSION_SQL = `
SELECT c.oid::text AS oid, c.relkind, n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE e.extname = $1 AND d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_extension'::regclass
  AND d.deptype = 'e' AND c.relkind IN ('r', 'p')
ORDER BY n.nspname, c.relname`;

interface Relation {
  readonly oid: string;
  readonly relkind: string;
  readonly schema: string;
  readonly name: string;
}

class LossQueries {
  readonly #connection: Connection;
  readonly #signal: AbortSignal | undefined;
  readonly #rows = new Map<string, boolean>();

  constructor(connection: Connection, { signal }: Pick<RunMigrationsOptions, "signal">) {
    this.#connection = connection;
    this.#signal = signal;
  }

  async lostBy({ thing }: LosingStatement): Promise<readonly string[]> {
    switch (thing.kind) {
      case "rows":
        return this.#lostRows(thing);
      case "column": {
        const found = await this.#column(thing.table, thing.column);
        if (found === undefined || found.isGenerated || !(await this.#holdsRows(found.table))) return [];
        if ((await this.#table({ schema: KEPT_SCHEMA, name: thing.keptTable, path: undefined })) !== undefined)
          return [];
        const renamed = thing.renamed === undefined ? "" : ` (${thing.renamed} by then)`;
        return [`${shown(found.table)} holds rows, and their ${thing.column}${renamed} is dropped`];
      }
      case "values": {
        const found = await this.#column(thing.table, thing.column);
        if (found === undefined || found.isGenerated || !losesValues(parseType(found.type), thing.to, thing.form))
          return [];
        if (!(await this.#holdsRows(found.table))) return [];
        const what = thing.form === "replaced" ? "is replaced by something else" : "is rounded or cut";
        return [`${shown(found.table)} holds rows, and their ${thing.column} (${found.type}) ${what}`];
      }
      case "schema": {
        const tables = await this.#ask<Relation>(TABLES_OF_SCHEMA_SQL, [thing.name]);
        return this.#droppedOf(tables);
      }
      case "type":
        return this.#lostColumns(qualified(thing.type), "");
      case "extension": {
        const tables = await this.#droppedOf(await this.#ask<Relation>(TABLES_OF_EXTENSION_SQL, [thing.name]));
        return thing.cascades ? [...tables, ...(await this.#lostColumns("", thing.name))] : tables;
      }
      case "whole":
        return [thing.what];
    }
  }

  async #lostRows({ table, how, cascades }: Extract<LosingThing, { kind: "rows" }>): Promise<readonly string[]> {
    const found = await this.#table(table);
    // The rows of a foreign table are kept by the other server when the table here is dropped.
    if (found === undefined || (how === "dropped" && found.relkind === "f")) return [];
    const others = cascades ? await this.#ask<Relation>(REFERRING_SQL, [found.oid]) : [];
    const lost: string[] = [];
    for (const each of [found, ...others])
      if (await this.#holdsRows(each)) lost.push(`${shown(each)} holds rows, and ${ENDS[how]}`);
    return lost;
  }

  async #droppedOf(tables: readonly Relation[]): Promise<readonly string[]> {
    const lost: string[] = [];
    for (const table of tables)
      if (await this.#holdsRows(table)) lost.push(`${shown(table)} holds rows, and is dropped`);
    return lost;
  }

  async #lostColumns(type: string, extension: string): Promise<readonly string[]> {
    const columns = await this.#ask<Relation & { column: string }>(COLUMNS_OF_TYPES_SQL, [type, extension]);
    const lost: string[] = [];
    for (const each of columns)
      if (await this.#holdsRows(each)) lost.push(`${shown(each)} holds rows, and their ${each.column} is dropped`);
    return lost;
  }

  async #table(table: LosingTable): Promise<Relation | undefined> {
    for (const name of namesOf(table)) {
      const [found] = await this.#ask<Relation>(TABLE_SQL, [name]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #column(
    table: LosingTable,
    column: string,
  ): Promise<{ readonly table: Relation; readonly type: string; readonly isGenerated: boolean } | undefined> {
    const found = await this.#table(table);
    if (found === undefined || found.relkind === "f") return undefined;
    const [facts] = await this.#ask<{ type: string; is_generated: boolean }>(COLUMN_SQL, [found.oid, column]);
    return facts === undefined ? undefined : { table: found, type: facts.type, isGenerated: facts.is_generated };
  }

  async #holdsRows(table: Relation): Promise<boolean> {
    const known = this.#rows.get(table.oid);
    if (known !== undefined) return known;
    let holds: boolean;
    await this.#connection.exec("SAVEPOINT look");
    try {
      const [answer] = await this.#ask<{ holds: boolean }>(
        `SELECT EXISTS (SELECT FROM ${identifier(table.schema, table.name)}) AS holds`,
      );
      holds = answer?.holds ?? true;
    } catch (error) {
      if (!(error instanceof DatabaseError) || !UNANSWERED.has(error.sqlState)) throw error;
      await this.#connection.exec("ROLLBACK TO SAVEPOINT look");
      holds = true;
    }
    await this.#connection.exec("RELEASE SAVEPOINT look");
    this.#rows.set(table.oid, holds);
    return holds;
  }

  async #ask<R extends object>(sql: string, values: readonly unknown[] = []): Promise<readonly R[]> {
    const client: Queryable = this.#connection;
    const { rows } = await client.query<R & Record<string, unknown>>(sql, values, { signal: this.#signal });
    return rows;
  }
}

const ENDS = { dropped: "is dropped", emptied: "is emptied", deleted: "all of them are deleted" } as const;

/** No right to read it, rows that row-level security hides, locked by somebody, too slow, not populated. */
const UNANSWERED: ReadonlySet<string> = new Set([
  SQLSTATE.insufficientPrivilege,
  SQLSTATE.lockNotAvailable,
  SQLSTATE.queryCanceled,
  "55000",
]);

function namesOf({ schema, name, path }: LosingTable): readonly string[] {
  if (schema !== undefined) return [identifier(schema, name)];
  return path === undefined ? [identifier(name)] : path.map((each) => identifier(each, name));
}

function qualified(table: LosingTable): string {
  return namesOf(table)[0] ?? identifier(table.name);
}

function shown({ schema, name }: Relation): string {
  return schema === "public" ? name : `${schema}.${name}`;
}
