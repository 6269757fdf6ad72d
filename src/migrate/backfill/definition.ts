// What a backfill is: a table, the expressions to write, and which rows are still to do. The expressions are a person's SQL, so
// the parser makes sure that each one is only that: nothing behind it can change the statement it is put into.
import { createHash } from "node:crypto";
import { InvalidInputError } from "../../postgres/index.ts";
import { parseSqlScript } from "../sql-script.ts";
import { listOf, textOf, type Node } from "../syntax.ts";

export interface BackfillDefinition {
  /** Under this name the run is recorded and continued. */
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  /** What UPDATE says after SET, e.g. `total_cents = total * 100, currency = 'EUR'`. Columns are named without an alias. */
  readonly set: string;
  /**
   * Which rows are still to do, e.g. `total_cents IS NULL`. The update must make it false; at the end no row may match. Without it
   * each row is visited once, and rows that are inserted meanwhile are not.
   */
  readonly where?: string | undefined;
  /** Which rows are meant at all, e.g. `currency = 'JPY'`: the update may leave it true. */
  readonly filter?: string | undefined;
  /** Columns of a primary key or of a unique index without a predicate, all NOT NULL. Default: the primary key. */
  readonly key?: readonly string[] | undefined;
}

/** A definition whose expressions were parsed. */
export interface CheckedDefinition extends BackfillDefinition {
  /** Columns the update writes. */
  readonly columns: readonly string[];
  /** Tells two definitions apart, e.g. when a recorded run is continued. */
  readonly fingerprint: string;
}

const STATEMENT_FIELDS: ReadonlySet<string> = new Set(["relation", "targetList"]);
const CONDITION_FIELDS: ReadonlySet<string> = new Set(["whereClause", "limitOption", "op"]);

/**
 * Parses the expressions of a definition.
 *
 * @throws InvalidSqlError with a caret when one cannot be parsed; InvalidInputError when one is more than an expression, or when
 *   the key names `ctid` or a column that is written
 */
export async function checkDefinition(definition: BackfillDefinition): Promise<CheckedDefinition> {
  const { name, schema, table, set, where, filter, key } = definition;
  if (name === "" || Buffer.byteLength(name) > 200)
    throw new InvalidInputError("a backfill needs a name of 1 to 200 bytes");
  const columns = await columnsWritten(set);
  for (const [word, condition] of [
    ["where", where],
    ["filter", filter],
  ] as const)
    if (condition !== undefined) await checkCondition(condition, word);
  if (key?.includes("ctid") === true) {
    throw new InvalidInputError("ctid is no key: an update moves the row, so a run could repeat or miss it", {
      hint: "name the columns of a primary key or of a unique index; make one with CREATE UNIQUE INDEX CONCURRENTLY",
    });
  }
  refuseWrittenKey(key ?? [], columns);
  const fingerprint = createHash("sha256")
    .update(JSON.stringify([schema, table, set, where ?? null, filter ?? null, key ?? null]))
    .digest("hex");
  return { ...definition, columns, fingerprint };
}

/** @throws InvalidInputError when the update would move rows past the cursor */
export function refuseWrittenKey(key: readonly string[], columns: readonly string[]): void {
  const moved = key.find((column) => columns.includes(column));
  if (moved === undefined) return;
  throw new InvalidInputError(`the update writes ${moved}, a column of the key by which the rows are walked`, {
    hint: "name another unique key whose columns stay as they are",
  });
}

async function columnsWritten(set: string): Promise<readonly string[]> {
  const statement = await onlyStatement(`UPDATE x SET ${set}\n`, "set");
  const hasMore = Object.keys(statement.node).some((field) => !STATEMENT_FIELDS.has(field));
  if (statement.kind !== "UpdateStmt" || hasMore) throw moreThan("set", "assignments (column = expression, …)");
  return listOf(statement.node, "targetList").map(({ node }) => textOf(node, "name") ?? "");
}

async function checkCondition(condition: string, word: string): Promise<void> {
  const { kind, node } = await onlyStatement(`SELECT WHERE ${condition}\n`, word);
  const isPlain = node["op"] === "SETOP_NONE" && node["limitOption"] === "LIMIT_OPTION_DEFAULT";
  if (kind !== "SelectStmt" || !isPlain || Object.keys(node).some((field) => !CONDITION_FIELDS.has(field)))
    throw moreThan(word, "one condition");
}

async function onlyStatement(text: string, word: string): Promise<{ readonly kind: string; readonly node: Node }> {
  const { statements, psqlParts } = await parseSqlScript(text, word);
  const [statement] = statements;
  if (statement === undefined || statements.length > 1 || psqlParts.length > 0) throw moreThan(word, "one expression");
  return statement;
}

function moreThan(word: string, wanted: string): InvalidInputError {
  return new InvalidInputError(`${word} holds more than ${wanted}`, {
    hint: `write only what stands after ${word === "set" ? "SET" : "WHERE"} in the UPDATE; joins go into subqueries`,
  });
}
