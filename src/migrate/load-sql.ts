// Builds the schema of SQL files in a throw-away database: what belongs to another server (databases, tablespaces, data) is
// left out and said, roles that the files only mention are made.
import {
  DatabaseError,
  IntegrityError,
  InvalidInputError,
  InvalidSqlError,
  type Connection,
} from "../postgres/index.ts";
import { namesSupabase } from "./adopt/supabase.ts";
import { commitCode, offsetInCode } from "./code/run-code.ts";
import { refusedHere } from "./refused-here.ts";
import { createMissingRoles, hintOnRole, reasonToSkipRoles, stringIn } from "./missing-roles.ts";
import { parseSqlScript, placeOf, sqlErrorAt, unitsOf, type ScriptStatement, type SqlScript } from "./sql-script.ts";
import type { SqlFile } from "./sql-files.ts";
import { droppedNames } from "./syntax.ts";

export interface ParsedSqlFile extends SqlFile {
  readonly script: SqlScript;
}

export interface LoadedSql {
  readonly files: number;
  /** Statements that were run. */
  readonly statements: number;
  /** What was left out or made up, one sentence each. */
  readonly notices: readonly string[];
}

export interface LoadSqlOptions {
  readonly signal?: AbortSignal | undefined;
  /** Where each file's session begins to look for names, when that is not the server's default. */
  readonly searchPath?: string | undefined;
  /** Leaves out statements that fail for want of an extension that this server does not have, and says each. Default false. */
  readonly skipsMissingExtensions?: boolean | undefined;
  /** False: the server has other databases, and its roles are not ours to change. Default true. */
  readonly ownsServer?: boolean | undefined;
}

/**
 * Parses files before anything is opened.
 *
 * @throws InvalidSqlError for the first syntax error, with file, line, column, the line and a caret
 * @throws InvalidInputError for a psql command that would change what is loaded (`\i`, `\gexec`, a second `\connect` …)
 */
export async function parseSqlFiles(files: readonly SqlFile[]): Promise<readonly ParsedSqlFile[]> {
  const parsed: ParsedSqlFile[] = [];
  for (const file of files) {
    const script = await parseSqlScript(file.text, file.name);
    checkPsqlCommands(file, script);
    parsed.push({ ...file, script });
  }
  return parsed;
}

/** Names of the extensions the files create, sorted; `plpgsql` is always there and not named. */
export function requiredExtensions(files: readonly ParsedSqlFile[]): readonly string[] {
  return extensionsOf(statementsOf(files));
}

export function extensionsOf(statements: readonly ScriptStatement[]): readonly string[] {
  const names = statements.flatMap((statement) =>
    statement.kind === "CreateExtensionStmt" ? [String(statement.node["extname"])] : extensionsInBlock(statement),
  );
  return [...new Set(names)].filter((name) => name !== "plpgsql").sort();
}

/** Blocks make an extension where it may be missing, and go on without it. */
function extensionsInBlock({ kind, text }: ScriptStatement): readonly string[] {
  if (kind !== "DoStmt") return [];
  return [...text.matchAll(/\bcreate\s+extension\s+(?:if\s+not\s+exists\s+)?(?:"([^"]+)"|([a-z_][\w$]*))/gi)].flatMap(
    ([, quoted, plain]) => quoted ?? plain?.toLowerCase() ?? [],
  );
}

const MISSING_EXTENSIONS_SQL = `
SELECT wanted.name
FROM unnest($1::text[]) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname = wanted.name)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_available_extensions AS a WHERE a.name = wanted.name)
ORDER BY wanted.name`;

/** Notes extensions that a block has gone on without, because the server does not have them. */
export async function noteBlockExtensions(
  connection: Connection,
  statement: ScriptStatement,
  skippedExtensions: Set<string>,
  notices: Notices,
): Promise<void> {
  const wanted = extensionsInBlock(statement);
  if (wanted.length === 0) return;
  const { rows } = await connection.query<{ name: string }>(MISSING_EXTENSIONS_SQL, [wanted]);
  for (const { name } of rows) {
    skippedExtensions.add(name);
    notices.add(withoutExtension(name));
  }
}

function withoutExtension(name: string): string {
  return `the extension ${name} is not available in the throw-away database: it was left out`;
}

/**
 * Runs the files' statements one by one on one connection of a database that is ours to fill.
 *
 * @throws InvalidSqlError with file, line and caret when the server refuses a statement; what ran before it stays
 */
export async function loadSqlFiles(
  connection: Connection,
  files: readonly ParsedSqlFile[],
  options: LoadSqlOptions = {},
): Promise<LoadedSql> {
  const notices = new Notices();
  const { ownsServer = true } = options;
  if (ownsServer) await createMissingRoles(connection, statementsOf(files), notices);
  let statements = 0;
  const skippedExtensions = new Set<string>();
  for (const file of files) {
    for (const part of file.script.psqlParts) notices.addPsqlPart(part);
    if (options.searchPath !== undefined) await connection.exec(`SET search_path = ${options.searchPath}`);
    for (const statement of file.script.statements) {
      const reason =
        reasonToSkip(statement, skippedExtensions) ?? (ownsServer ? undefined : reasonToSkipRoles(statement));
      if (reason !== undefined) {
        notices.add(reason);
        continue;
      }
      try {
        const { signal } = options;
        if (file.code === undefined) await connection.exec(statement.text, { signal });
        else await commitCode(connection, file.code, { signal });
        await noteBlockExtensions(connection, statement, skippedExtensions, notices);
        statements++;
      } catch (error) {
        const excuse =
          error instanceof DatabaseError
            ? (excuseFor(statement, error, skippedExtensions, notices) ??
              (options.skipsMissingExtensions === true
                ? lackingExtension(file, statement, error, skippedExtensions)
                : undefined))
            : undefined;
        if (excuse === undefined) throw located(error, statement, file, { skippedExtensions, ownsServer });
        notices.add(excuse);
      }
    }
    if (connection.transactionStatus !== "idle") {
      await connection.exec("COMMIT");
      notices.add(`${file.name} ends inside a transaction; it was committed`);
    }
    // A dump empties search_path for its session; the next file and the reader of the catalog must not inherit that.
    await connection.exec("RESET SESSION AUTHORIZATION");
    await connection.exec("RESET ALL");
  }
  return { files: files.length, statements, notices: notices.list() };
}

function statementsOf(files: readonly ParsedSqlFile[]): readonly ScriptStatement[] {
  return files.flatMap((file) => file.script.statements);
}

/** psql commands that change nothing we load. */
const HARMLESS_COMMANDS = new Set([
  "restrict",
  "unrestrict",
  "set",
  "unset",
  "echo",
  "qecho",
  "warn",
  "timing",
  "pset",
  "x",
  "encoding",
  ".",
]);
const CONNECT_COMMANDS = new Set(["connect", "c"]);
const COPY_COMMAND = "copy";

function checkPsqlCommands(file: SqlFile, script: SqlScript): void {
  const fault = psqlFault(script);
  if (fault === undefined) return;
  const { line, column } = placeOf(file.text, fault.offset);
  throw new InvalidInputError(`${file.name}:${line}:${column}: ${fault.message}`, { hint: fault.hint });
}

/** The first psql command that would change what is loaded. */
export function psqlFault(
  script: SqlScript,
): { readonly offset: number; readonly message: string; readonly hint: string } | undefined {
  let connects = 0;
  for (const part of script.psqlParts) {
    if (part.kind !== "command") continue;
    const name = commandName(part.text);
    if (HARMLESS_COMMANDS.has(name) || name === COPY_COMMAND) continue;
    if (CONNECT_COMMANDS.has(name) && ++connects === 1) continue;
    const hint = CONNECT_COMMANDS.has(name)
      ? "the file fills more than one database: dump each of them into its own file"
      : ["i", "ir", "include", "include_relative"].includes(name)
        ? "give the folder that holds the included files, or put them into this file"
        : "take the command out, or load the file with psql and check that database";
    return { offset: part.offset, message: `the psql command \\${name} cannot be followed here`, hint };
  }
  return undefined;
}

function commandName(text: string): string {
  return /^\\(\S[\w+]*)/.exec(text)?.[1] ?? "";
}

/** Each sentence once, with how often it applied. */
export class Notices {
  readonly #counts = new Map<string, number>();
  #copyRows = 0;
  #copyBlocks = 0;

  add(sentence: string): void {
    if (sentence === "") return;
    this.#counts.set(sentence, (this.#counts.get(sentence) ?? 0) + 1);
  }
  get skippedData(): boolean {
    return this.#copyBlocks > 0;
  }
  addPsqlPart(part: { readonly kind: "command" | "copy data"; readonly text: string }): void {
    if (part.kind === "copy data") {
      this.#copyBlocks++;
      this.#copyRows += part.text.split("\n").filter((line) => line !== "").length;
    } else if (CONNECT_COMMANDS.has(commandName(part.text))) {
      this.add("\\connect was ignored: everything goes into one throw-away database");
    } else if (commandName(part.text) === COPY_COMMAND) {
      this.#copyBlocks++;
    }
  }
  list(): readonly string[] {
    return this.#withData(
      [...this.#counts].map(([sentence, count]) => (count === 1 ? sentence : `${sentence} (${count} times)`)),
    );
  }
  /** Without how often, for statements that ran again and again. */
  sentences(): readonly string[] {
    return this.#withData([...this.#counts.keys()]);
  }
  #withData(list: string[]): readonly string[] {
    if (this.#copyBlocks > 0)
      list.push(`the data of ${this.#copyBlocks} COPY statements (${this.#copyRows} rows) was not loaded`);
    return list;
  }
}

/** Statements about the server rather than the schema. */
const SERVER_STATEMENTS: Readonly<Record<string, string>> = {
  CreatedbStmt: "CREATE DATABASE",
  DropdbStmt: "DROP DATABASE",
  AlterDatabaseStmt: "ALTER DATABASE",
  AlterDatabaseSetStmt: "ALTER DATABASE … SET",
  AlterDatabaseRefreshCollStmt: "ALTER DATABASE",
  CreateTableSpaceStmt: "CREATE TABLESPACE",
  DropTableSpaceStmt: "DROP TABLESPACE",
  AlterTableSpaceOptionsStmt: "ALTER TABLESPACE",
  AlterSystemStmt: "ALTER SYSTEM",
  CreateSubscriptionStmt: "CREATE SUBSCRIPTION",
  AlterSubscriptionStmt: "ALTER SUBSCRIPTION",
  SecLabelStmt: "SECURITY LABEL",
};
const SERVER_OBJECTS: ReadonlySet<unknown> = new Set(["OBJECT_DATABASE", "OBJECT_TABLESPACE", "OBJECT_SUBSCRIPTION"]);

/** Why a statement is not run; an empty text when there is nothing to tell. */
export function reasonToSkip(
  { kind, node }: ScriptStatement,
  skippedExtensions: ReadonlySet<string>,
): string | undefined {
  const server = SERVER_STATEMENTS[kind];
  if (server !== undefined) return `${server} was not run: it is about a server, not a schema`;
  const objectType = node["objtype"] ?? node["objectType"] ?? node["renameType"];
  if (SERVER_OBJECTS.has(objectType)) return "a statement about a database or tablespace was not run";
  if (kind === "CopyStmt") {
    const isData = node["is_from"] === true && node["filename"] === undefined;
    return isData ? "" : "a COPY from or to a file or program was not run"; // the data itself was counted with the psql parts
  }
  const extensions = extensionsNamed(kind, node);
  if (extensions.length > 0 && extensions.every((name) => skippedExtensions.has(name)))
    return `a statement about the extension ${extensions.join(", ")} was not run`;
  return undefined;
}

/** The extensions that a statement alters, comments or drops. */
function extensionsNamed(kind: string, node: ScriptStatement["node"]): readonly string[] {
  if (kind === "AlterExtensionStmt" || kind === "AlterExtensionContentsStmt") return [String(node["extname"])];
  if (kind === "DropStmt" && node["removeType"] === "OBJECT_EXTENSION")
    return droppedNames(node).map(({ name }) => name);
  const objectType = node["objtype"] ?? node["objectType"];
  const name = objectType === "OBJECT_EXTENSION" ? stringIn(node["object"]) : undefined;
  return name === undefined ? [] : [name];
}

const STATE = {
  duplicateSchema: "42P06",
  duplicateObject: "42710",
  undefinedObject: "42704",
  invalidParameterValue: "22023",
  featureNotSupported: "0A000",
  undefinedFile: "58P01",
  insufficientPrivilege: "42501",
  inFailedTransaction: "25P02",
};

/** A sentence when the failure does not matter for the schema (empty when it is not worth telling); otherwise `undefined`. */
export function excuseFor(
  { kind, node }: ScriptStatement,
  error: DatabaseError,
  skippedExtensions: Set<string>,
  notices: Notices,
): string | undefined {
  const state = error.sqlState;
  if (state === STATE.inFailedTransaction) return undefined;
  if (kind === "CreateSchemaStmt" && state === STATE.duplicateSchema && node["schemaname"] === "public") return "";
  if (kind === "CreateRoleStmt" && state === STATE.duplicateObject)
    return `the role ${String(node["role"])} was there already`;
  if (kind === "VariableSetStmt" && (state === STATE.undefinedObject || state === STATE.invalidParameterValue)) {
    return `SET ${String(node["name"])} was not run: this server does not know it`;
  }
  if (kind === "CreateExtensionStmt") {
    const name = String(node["extname"]);
    const isAbsent: readonly string[] = [
      STATE.featureNotSupported,
      STATE.undefinedFile,
      STATE.undefinedObject,
      STATE.insufficientPrivilege,
    ];
    if (!isAbsent.includes(state)) return undefined;
    skippedExtensions.add(name);
    return withoutExtension(name);
  }
  // Rows that point to rows of a COPY block cannot be stored without them; the schema does not need either.
  if (
    ["InsertStmt", "UpdateStmt", "DeleteStmt"].includes(kind) &&
    error instanceof IntegrityError &&
    notices.skippedData
  ) {
    return "a row was not loaded because it refers to COPY data";
  }
  return undefined;
}

/** What is named is not there: schema, table, column, function, any other object. */
export const UNDEFINED: ReadonlySet<string> = new Set(["3F000", "42P01", "42703", "42883", "42704"]);

/** Why a statement is left out that names what an extension would have made, or something that stands on that. */
export function lackingExtension(
  file: { readonly name: string; readonly text: string },
  { offset }: ScriptStatement,
  error: DatabaseError,
  skippedExtensions: ReadonlySet<string>,
): string | undefined {
  if (skippedExtensions.size === 0 || !UNDEFINED.has(error.sqlState)) return undefined;
  const { line } = placeOf(file.text, offset);
  return `not examined, as ${[...skippedExtensions].join(", ")} is not there: ${file.name}:${line}: ${error.message}`;
}

/** The way out where an extension is missing. */
export const SKIP_MISSING = "--skip-missing-extensions leaves out the statements that need it, and names them";

function located(
  error: unknown,
  statement: ScriptStatement,
  file: ParsedSqlFile,
  { skippedExtensions, ownsServer }: { readonly skippedExtensions: ReadonlySet<string>; readonly ownsServer: boolean },
): unknown {
  if (!(error instanceof DatabaseError)) return error;
  const inStatement = error.position === undefined ? 0 : unitsOf(statement.text, error.position - 1);
  const hint =
    skippedExtensions.size > 0 && error instanceof InvalidSqlError
      ? `the throw-away database lacks ${[...skippedExtensions].join(", ")}; check a server that has it: pgsteward check postgres://… (of diff and migrate verify, ${SKIP_MISSING})`
      : ((ownsServer ? undefined : hintOnRole(error, statement)) ??
        refusedHere(error) ??
        lackOfSupabase(error, statement) ??
        error.hint);
  const inCode = offsetInCode(error);
  const text = file.code === undefined || inCode === undefined ? file.text : file.code.text;
  return sqlErrorAt(text, inCode ?? statement.offset + inStatement, file.name, error.message, {
    sqlState: error.sqlState,
    cause: error,
    hint,
  });
}

/** A schema that is read from files has to make all that it stands on. */
function lackOfSupabase({ sqlState }: DatabaseError, { text }: ScriptStatement): string | undefined {
  if (!["3F000", "42P01", "42883"].includes(sqlState) || !namesSupabase(text)) return undefined;
  return "Supabase makes that in each of its databases, and the files do not: give the URL of such a database instead, or a first file that makes it";
}
