// Statements outside a transaction: what has to be known before one runs, and what became of one that was interrupted. An
// invalid index is dropped for a new build, a pending detach is finished, and what cannot be told is asked.
import { identifier, MigrationUnfinishedError, type Connection, type Row } from "../../postgres/index.ts";
import { isConcurrent } from "../apply-statement.ts";
import { parseSqlScript, type ScriptStatement } from "../sql-script.ts";
import { actionsOf, childOf, droppedNames, flagOf, relationName, textOf, type Action, type Name } from "../syntax.ts";
import type { StatementIntent } from "./history.ts";
import type { RunMigrationsOptions } from "./run-options.ts";
import type { RunStatement } from "./statement-groups.ts";

/** What there is to do about a statement that was interrupted. */
export type Recovery =
  | { readonly kind: "done"; readonly what: string }
  /** Run it (again); `what` tells what was put in order before. */
  | { readonly kind: "again"; readonly what: string | undefined }
  /** Run this instead: with it the statement is done. */
  | { readonly kind: "finish"; readonly sql: string; readonly what: string };

interface IndexRow extends Row {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  readonly is_valid: boolean;
  readonly is_being_built: boolean;
}

const INDEXES_OF_TABLE_SQL = `
SELECT i.indexrelid::text AS oid, n.nspname AS schema, c.relname AS name, i.indisvalid AND i.indisready AS is_valid,
  EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid) AS is_being_built
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = pg_catalog.to_regclass($1)
ORDER BY c.relname`;

// REINDEX CONCURRENTLY names its new indexes …_ccnew, and the old ones, once they are replaced, …_ccold.
const REINDEX_LEFTOVERS_SQL = `
SELECT i.indexrelid::text AS oid, n.nspname AS schema, c.relname AS name, false AS is_valid,
  EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid) AS is_being_built
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
WHERE NOT i.indisvalid
  AND c.relname ~ '_cc(new|old)[0-9]*$'
  AND CASE $2::text
    WHEN 'index' THEN i.indrelid = (SELECT x.indrelid FROM pg_catalog.pg_index AS x WHERE x.indexrelid = pg_catalog.to_regclass($1))
    WHEN 'table' THEN i.indrelid = pg_catalog.to_regclass($1)
      OR i.indrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) AS p)
      OR i.indrelid = (SELECT x.reltoastrelid FROM pg_catalog.pg_class AS x WHERE x.oid = pg_catalog.to_regclass($1))
    WHEN 'schema' THEN t.relnamespace = pg_catalog.to_regnamespace($1)
    ELSE true
  END
ORDER BY c.relname`;

const DETACH_SQL = `
SELECT h.inhdetachpending AS is_pending
FROM pg_catalog.pg_inherits AS h
WHERE h.inhparent = pg_catalog.to_regclass($1)
  AND h.inhrelid = pg_catalog.to_regclass($2)`;

/**
 * Makes way for a statement outside a transaction, and says what has to be known to judge later whether it finished. An invalid
 * index of the name that CREATE INDEX CONCURRENTLY will use is dropped: it is what an earlier, failed build left, and
 * IF NOT EXISTS would take it for the index.
 */
export async function prepareStatement(
  connection: Connection,
  statement: RunStatement,
  signal: AbortSignal | undefined,
): Promise<{ readonly intent: StatementIntent; readonly what: string | undefined }> {
  const { kind, node, text: sql } = statement;
  const [action] = actionsOf(statement);
  if (kind !== "IndexStmt" || action === undefined || !isConcurrent(action))
    return { intent: { sql }, what: undefined };
  const indexes = await indexesOf(connection, action.table);
  const name = textOf(node, "idxname");
  const leftover = indexes.find((index) => index.name === name && !index.is_valid);
  const what = leftover === undefined ? undefined : await dropInvalid(connection, leftover, signal);
  return { intent: { sql, indexes: indexes.filter((index) => index !== leftover).map(({ oid }) => oid) }, what };
}

/** Statements that may leave something behind when they fail. */
export const LEAVES_SOMETHING: ReadonlySet<string> = new Set([
  "IndexStmt",
  "ReindexStmt",
  "DropStmt",
  "AlterTableStmt",
]);

/**
 * What became of a statement that was begun and is not known to be done.
 *
 * @throws MigrationUnfinishedError when that cannot be told, or when it still runs
 */
export async function recoverStatement(
  connection: Connection,
  statement: RunStatement,
  intent: StatementIntent,
  options: { readonly place: string } & Pick<RunMigrationsOptions, "undecided" | "signal">,
): Promise<Recovery> {
  const { place, undecided, signal } = options;
  const [begun] = intent.sql === statement.text ? [statement] : (await parseSqlScript(intent.sql, place)).statements;
  if (begun === undefined) return { kind: "again", what: undefined };
  const recovery = await lookAt(connection, begun, intent, place, signal).catch((error: unknown): Recovery => {
    if (!(error instanceof MigrationUnfinishedError) || undecided === undefined) throw error;
    return undecided === "again" ? { kind: "again", what: undefined } : { kind: "done", what: "taken as done" };
  });
  if (begun === statement || recovery.kind === "again") return recovery;
  throw new MigrationUnfinishedError(
    `${place}: the statement was changed after the run was interrupted in it, and what ran is: ${intent.sql}`,
    {
      hint: "put the statement back, run the same command again, and write the change as a new migration",
    },
  );
}

async function lookAt(
  connection: Connection,
  statement: ScriptStatement,
  intent: StatementIntent,
  place: string,
  signal: AbortSignal | undefined,
): Promise<Recovery> {
  const { kind, node } = statement;
  const [action] = actionsOf(statement);
  switch (kind) {
    case "IndexStmt":
      return recoverIndex(connection, statement, action, intent, place, signal);
    case "ReindexStmt":
      return recoverReindex(connection, node, signal);
    case "DropStmt": {
      const exists = await someExist(connection, droppedNames(node));
      if (exists || flagOf(node, "missing_ok")) return { kind: "again", what: undefined };
      return { kind: "done", what: "the index is gone" };
    }
    case "AlterTableStmt":
      return recoverDetach(connection, action);
    case "CreatedbStmt":
    case "DropdbStmt":
      return recoverByName(connection, "pg_database", "datname", textOf(node, "dbname"), kind === "CreatedbStmt");
    case "CreateTableSpaceStmt":
    case "DropTableSpaceStmt": {
      const name = textOf(node, "tablespacename");
      return recoverByName(connection, "pg_tablespace", "spcname", name, kind === "CreateTableSpaceStmt");
    }
    case "VacuumStmt":
    case "ClusterStmt":
    case "AlterSystemStmt":
      return { kind: "again", what: undefined };
    default:
      throw new MigrationUnfinishedError(
        `${place}: the run ended while this statement ran, and nobody can tell whether it finished`,
        {
          hint: "look at what it changes, then run the same command with --undecided done, or with --undecided again",
        },
      );
  }
}

async function recoverIndex(
  connection: Connection,
  statement: ScriptStatement,
  action: Action | undefined,
  intent: StatementIntent,
  place: string,
  signal: AbortSignal | undefined,
): Promise<Recovery> {
  const name = textOf(statement.node, "idxname");
  const known = new Set(intent.indexes);
  const found = (await indexesOf(connection, action?.table)).filter((index) =>
    name === undefined ? !known.has(index.oid) : index.name === name,
  );
  const [index, ...more] = found;
  if (index === undefined) return { kind: "again", what: undefined };
  if (more.length > 0)
    throw new MigrationUnfinishedError(
      `${place}: the run ended while this index was built, and its table has ${found.length} new indexes: ${found.map((each) => each.name).join(", ")}`,
      {
        hint: "give the index a name in the file; drop those that are not wanted; then run the same command with --undecided done, or with --undecided again",
      },
    );
  if (index.is_valid) return { kind: "done", what: `the index ${index.schema}.${index.name} is there and valid` };
  return { kind: "again", what: await dropInvalid(connection, index, signal) };
}

async function recoverReindex(
  connection: Connection,
  node: ScriptStatement["node"],
  signal: AbortSignal | undefined,
): Promise<Recovery> {
  const scopes: Readonly<Record<string, string>> = {
    REINDEX_OBJECT_INDEX: "index",
    REINDEX_OBJECT_TABLE: "table",
    REINDEX_OBJECT_SCHEMA: "schema",
  };
  const relation = relationName(childOf(node, "relation"));
  const name = textOf(node, "name");
  const { rows } = await connection.query<IndexRow>(REINDEX_LEFTOVERS_SQL, [
    relation === undefined ? (name === undefined ? "" : identifier(name)) : quoted(relation),
    scopes[String(node["kind"])] ?? "database",
  ]);
  const done: string[] = [];
  for (const index of rows) done.push(await dropInvalid(connection, index, signal));
  // A second REINDEX does no harm, and which of several indexes are new already cannot be told.
  return { kind: "again", what: done.length === 0 ? undefined : done.join("; ") };
}

async function recoverDetach(connection: Connection, action: Action | undefined): Promise<Recovery> {
  const partition = relationName(childOf(action?.node, "name"));
  if (action?.table === undefined || partition === undefined) return { kind: "again", what: undefined };
  const { rows } = await connection.query<{ is_pending: boolean }>(DETACH_SQL, [
    quoted(action.table),
    quoted(partition),
  ]);
  const [row] = rows;
  if (row === undefined) return { kind: "done", what: `${partition.name} is no partition any more` };
  if (!row.is_pending) return { kind: "again", what: undefined };
  return {
    kind: "finish",
    sql: `ALTER TABLE ${quoted(action.table)} DETACH PARTITION ${quoted(partition)} FINALIZE`,
    what: `the detach of ${partition.name}, which was half done, is finished`,
  };
}

async function recoverByName(
  connection: Connection,
  catalog: "pg_database" | "pg_tablespace",
  column: string,
  name: string | undefined,
  isCreated: boolean,
): Promise<Recovery> {
  const { rows } = await connection.query(`SELECT FROM pg_catalog.${catalog} AS c WHERE c.${column} = $1`, [name]);
  const exists = rows.length > 0;
  if (exists !== isCreated) return { kind: "again", what: undefined };
  return { kind: "done", what: `${name ?? ""} is ${exists ? "there" : "gone"}` };
}

async function indexesOf(connection: Connection, table: Name | undefined): Promise<readonly IndexRow[]> {
  if (table === undefined) return [];
  return (await connection.query<IndexRow>(INDEXES_OF_TABLE_SQL, [quoted(table)])).rows;
}

async function someExist(connection: Connection, names: readonly Name[]): Promise<boolean> {
  const { rows } = await connection.query<{ exists: boolean }>(
    "SELECT bool_or(pg_catalog.to_regclass(n) IS NOT NULL) AS exists FROM pg_catalog.unnest($1::text[]) AS n",
    [names.map(quoted)],
  );
  return rows[0]?.exists === true;
}

async function dropInvalid(connection: Connection, index: IndexRow, signal: AbortSignal | undefined): Promise<string> {
  if (index.is_being_built)
    throw new MigrationUnfinishedError(`the index ${index.schema}.${index.name} is being built by another session`, {
      hint: "wait until it is done; SELECT * FROM pg_stat_progress_create_index shows how far it is",
    });
  await connection.exec(`DROP INDEX CONCURRENTLY IF EXISTS ${identifier(index.schema, index.name)}`, {
    timeoutMs: 0,
    signal,
  });
  return `the invalid index ${index.schema}.${index.name} was dropped`;
}

function quoted({ schema, name }: Name): string {
  return schema === undefined ? identifier(name) : identifier(schema, name);
}
