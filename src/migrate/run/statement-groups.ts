// Splits a migration's part into what the runner commits together: transactions, and statements that run by themselves.
import { createHash } from "node:crypto";
import { InvalidInputError } from "../../postgres/index.ts";
import type { MigrationCode } from "../code/run-code.ts";
import type { Migration, MigrationPart } from "../migration-files.ts";
import { refusedInTransaction } from "../run-alone.ts";
import { parseSqlScript, placeOf, type ScriptStatement } from "../sql-script.ts";
import { actionsOf, childOf, flagOf, listOf, stringsOf, textOf, walk } from "../syntax.ts";
import type { MigrationDirection } from "./run-options.ts";

/** A statement that does something; BEGIN and COMMIT are not among them. */
export interface RunStatement extends ScriptStatement {
  /** From 1, in the part. */
  readonly number: number;
  /** From 1, in the file. */
  readonly line: number;
  /** Of a migration in code: runs instead of `text`. */
  readonly code: MigrationCode | undefined;
}

export interface StatementGroup {
  /** How many statements of the part come before it. */
  readonly first: number;
  readonly statements: readonly RunStatement[];
  /** The statement that opens its transaction; `undefined`: one statement outside a transaction, written without BEGIN. */
  readonly begin: string | undefined;
  /** Why its one statement cannot be put into a transaction, e.g. `CREATE INDEX CONCURRENTLY`; `undefined` when it can. */
  readonly alone: string | undefined;
}

export interface GroupedPart {
  readonly groups: readonly StatementGroup[];
  readonly statements: readonly RunStatement[];
  /** For each number of statements, from 0: what stands for the text of the first so many. */
  readonly doneChecksums: readonly string[];
}

/**
 * Reads a part as the runner runs it. Pure.
 *
 * @throws InvalidSqlError with file, line and caret where it cannot be parsed
 * @throws InvalidInputError for what a runner cannot do: psql commands, COPY data, BEGIN and COMMIT that do not match
 */
export async function groupStatements(
  migration: Pick<Migration, "file" | "text">,
  part: MigrationPart,
): Promise<GroupedPart> {
  const { file, text } = migration;
  const script = await parseSqlScript(part.sql, file);
  const at = (offset: number): string => `${file}:${placeOf(text, offset).line}`;
  for (const { kind, text: psql, offset } of script.psqlParts) {
    // pg_dump writes these two around every dump; they mean nothing outside psql.
    if (kind === "command" && /^\\(?:un)?restrict\b/.test(psql.trim())) continue;
    throw new InvalidInputError(
      kind === "command"
        ? `${at(offset)}: ${psql.trim().split(/\s/, 1)[0]} is a command of psql, not of the server`
        : `${at(offset)}: the data of COPY … FROM stdin cannot be sent by the runner`,
      {
        hint:
          kind === "command" ? "take it out of the file" : "write the rows as INSERT, or load them outside migrations",
      },
    );
  }
  const groups: StatementGroup[] = [];
  const all: RunStatement[] = [];
  let open: { begin: string; first: number; at: string; statements: RunStatement[] } | undefined = part.isTransactional
    ? { begin: "BEGIN", first: 0, at: file, statements: [] }
    : undefined;
  const close = (): void => {
    if (open !== undefined && open.statements.length > 0)
      groups.push({ first: open.first, statements: open.statements, begin: open.begin, alone: undefined });
    open = undefined;
  };
  let counted = 0;
  let line = 1;
  for (const parsed of script.statements) {
    // Counted on from the last one: looking from the file's beginning each time takes minutes for 20,000 INSERTs.
    for (; counted < parsed.offset; counted++) if (text.charCodeAt(counted) === 10) line++;
    const statement: RunStatement = { ...parsed, number: all.length + 1, line, code: part.code };
    const place = `${file}:${line}`;
    if (statement.kind === "DiscardStmt" && statement.node["target"] === "DISCARD_ALL")
      throw new InvalidInputError(`${place}: DISCARD ALL would give up the lock that keeps other runners away`, {
        hint: "write RESET ALL, or DISCARD PLANS, SEQUENCES or TEMP",
      });
    const command = transactionCommand(statement);
    if (command === "begin") {
      if (part.isTransactional) throw ownTransaction(place, statement);
      if (open !== undefined)
        throw new InvalidInputError(`${place}: BEGIN inside the transaction that was begun at ${open.at}`, {
          hint: "write COMMIT before it",
        });
      open = { begin: statement.text, first: all.length, at: place, statements: [] };
      continue;
    }
    if (command === "commit") {
      if (part.isTransactional) throw ownTransaction(place, statement);
      if (open === undefined)
        throw new InvalidInputError(`${place}: COMMIT without a BEGIN before it`, {
          hint: "write BEGIN, or take it out",
        });
      close();
      continue;
    }
    if (command === "other") {
      if (part.isTransactional) throw ownTransaction(place, statement);
      throw new InvalidInputError(`${place}: ${firstWords(statement.text)} has no place in a migration`, {
        hint: "a group of statements begins with BEGIN and ends with COMMIT; the runner rolls back by itself",
      });
    }
    const alone = cannotBeInTransaction(statement);
    if (open === undefined) groups.push({ first: all.length, statements: [statement], begin: undefined, alone });
    else {
      if (alone !== undefined && alone !== MAY_COMMIT)
        throw new InvalidInputError(`${place}: ${alone} cannot run inside a transaction`, {
          hint: part.isTransactional
            ? "write transaction:false after the -- migrate: mark; the file's other statements then stand between BEGIN; and COMMIT;"
            : "put it after the COMMIT, or before the BEGIN",
        });
      open.statements.push(statement);
    }
    all.push(statement);
  }
  if (open !== undefined && !part.isTransactional)
    throw new InvalidInputError(`${open.at}: this BEGIN has no COMMIT`, {
      hint: "write COMMIT; after the group's last statement",
    });
  close();
  return { groups, statements: all, doneChecksums: checksumsOf(all) };
}

/** The groups of a migration's way up or down. */
export async function groupsOf(migration: Migration, direction: MigrationDirection): Promise<GroupedPart> {
  const part = direction === "up" ? migration.up : migration.down;
  if (part === undefined) throw new InvalidInputError(`${migration.file} has no "-- migrate:down" part`);
  return groupStatements(migration, part);
}

function checksumsOf(statements: readonly RunStatement[]): readonly string[] {
  const checksums = [""];
  for (const { text } of statements) {
    const before = checksums.at(-1) ?? "";
    checksums.push(createHash("sha256").update(before).update(text.replaceAll("\r\n", "\n")).digest("hex"));
  }
  return checksums;
}

/** Statements whose effect lasts for the session only: a run that goes on in a new session has to repeat them. */
export function isSessionSetting({ kind, node }: RunStatement): boolean {
  if (kind === "VariableSetStmt") return !flagOf(node, "is_local");
  if (kind !== "SelectStmt") return false;
  let isSetting = false;
  walk(
    listOf(node, "targetList").map((target) => target.node),
    (at, found) => {
      if (at === "FuncCall" && stringsOf(found, "funcname").at(-1) === "set_config") isSetting = true;
    },
  );
  return isSetting && node["fromClause"] === undefined;
}

const MAY_COMMIT = "a procedure that may commit";

function cannotBeInTransaction(statement: RunStatement): string | undefined {
  if (statement.kind === "CallStmt") return MAY_COMMIT;
  if (statement.kind === "DoStmt") {
    const body = listOf(statement.node, "args")
      .map(({ node }) => textOf(childOf(node, "arg"), "sval") ?? "")
      .join(" ");
    return /\b(?:commit|rollback)\b/i.test(body) ? MAY_COMMIT : undefined;
  }
  for (const action of actionsOf(statement)) {
    const refused = refusedInTransaction(action);
    if (refused !== undefined) return refused;
  }
  return undefined;
}

function transactionCommand({ kind, node }: ScriptStatement): "begin" | "commit" | "other" | undefined {
  if (kind !== "TransactionStmt") return undefined;
  switch (node["kind"]) {
    case "TRANS_STMT_BEGIN":
    case "TRANS_STMT_START":
      return "begin";
    case "TRANS_STMT_COMMIT":
      return flagOf(node, "chain") ? "other" : "commit";
    case "TRANS_STMT_SAVEPOINT":
    case "TRANS_STMT_RELEASE":
    case "TRANS_STMT_ROLLBACK_TO":
      return undefined;
    default:
      return "other";
  }
}

function ownTransaction(place: string, { text }: ScriptStatement): InvalidInputError {
  return new InvalidInputError(
    `${place} holds ${text.split(/\s/, 1)[0]}: the runner opens and commits the transaction itself`,
    { hint: "take it out, or write -- migrate:up transaction:false" },
  );
}

function firstWords(sql: string): string {
  return sql.split(/\s+/, 3).join(" ");
}
