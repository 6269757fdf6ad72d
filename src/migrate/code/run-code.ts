// Runs the `up` or `down` of a migration in code inside the transaction that the caller opened, and tells where it failed.
import { basename } from "node:path";
import {
  DatabaseError,
  InvalidInputError,
  StewardError,
  type Connection,
  type Queryable,
  type QueryOptions,
  type QueryResult,
  type Row,
  type Statement,
} from "../../postgres/index.ts";
import { parseSqlScript } from "../sql-script.ts";

/** One direction of a migration in code. */
export interface MigrationCode {
  /** The whole file. */
  readonly text: string;
  /**
   * Imports the file, once.
   *
   * @throws InvalidInputError when that fails, or it exports no such function
   */
  readonly load: () => Promise<(connection: Queryable) => unknown>;
  /** Runs it in the transaction that is open; `options` hold for each of its statements. */
  readonly run: (connection: Connection, options: QueryOptions) => Promise<void>;
}

interface CodePart {
  readonly path: string;
  readonly direction: "up" | "down";
  readonly text: string;
  readonly load: MigrationCode["load"];
}

export function migrationCode(path: string, direction: "up" | "down", text: string): MigrationCode {
  let loading: ReturnType<MigrationCode["load"]> | undefined;
  const load = (): ReturnType<MigrationCode["load"]> => (loading ??= importFunction(path, direction));
  return { text, load, run: (connection, options) => runCode({ path, direction, text, load }, connection, options) };
}

/** Where in the file the call stands that an error came from, in UTF-16 units from 0. */
const offsets = new WeakMap<Error, number>();

/** Where in its file a migration in code failed; `undefined` for errors of SQL. */
export function offsetInCode(error: unknown): number | undefined {
  return error instanceof Error ? offsets.get(error) : undefined;
}

/**
 * Calls the function with a connection that only runs statements.
 *
 * @throws DatabaseError as the server told it; `offsetInCode` says where the statement was sent from
 * @throws InvalidInputError with file and line when the code itself fails, ends the transaction, or does not await its statements
 */
async function runCode(part: CodePart, connection: Connection, options: QueryOptions): Promise<void> {
  const { path, direction, text } = part;
  const file = basename(path);
  const run = await part.load();
  const guarded = new CodeConnection(connection, options, part);
  try {
    await run(guarded);
    const unawaited = await guarded.settle();
    if (unawaited > 0)
      throw new InvalidInputError(`${file}: ${direction}() ended before ${unawaited} of its statements`, {
        hint: "await each statement",
      });
  } catch (error) {
    await guarded.settle();
    if (error instanceof StewardError) throw error;
    const line = lineIn(error, path);
    const place = line === undefined ? file : `${file}:${line}`;
    const message = error instanceof Error ? error.message : String(error);
    const failure = new InvalidInputError(`${place}: ${direction}() failed: ${message}`, {
      cause: error,
      hint: `correct ${place}`,
    });
    throw located(failure, line, text);
  }
  if (connection.transactionStatus === "failed")
    throw new InvalidInputError(`${file}: ${direction}() went on although one of its statements had failed`, {
      hint: "let the error out; what may fail goes between SAVEPOINT and ROLLBACK TO SAVEPOINT",
    });
}

async function importFunction(path: string, direction: "up" | "down"): Promise<(connection: Queryable) => unknown> {
  const { loadModules } = await import("../source/load-modules.ts");
  const exports = await loadModules(
    [path],
    "it runs in a transaction of the database: it needs no connection of its own",
  );
  const found = exports.find(({ name }) => name === direction)?.value;
  if (typeof found !== "function")
    throw new InvalidInputError(`${basename(path)}: what it exports as ${direction} is not a function`, {
      hint: `write export async function ${direction}(connection: Queryable) { … }`,
    });
  return found as (connection: Queryable) => unknown;
}

const SAVEPOINTS: ReadonlySet<unknown> = new Set([
  "TRANS_STMT_SAVEPOINT",
  "TRANS_STMT_RELEASE",
  "TRANS_STMT_ROLLBACK_TO",
]);

/** Whether a script begins or ends a transaction anywhere. What cannot be parsed is for the server to refuse. */
async function endsTransaction(sql: string): Promise<boolean> {
  if (!/\b(?:begin|start|commit|end|abort|rollback|prepare)\b/i.test(sql)) return false;
  try {
    const { statements } = await parseSqlScript(sql, "statement");
    return statements.some(({ kind, node }) => kind === "TransactionStmt" && !SAVEPOINTS.has(node["kind"]));
  } catch (error) {
    if (error instanceof DatabaseError) return false;
    throw error;
  }
}

/** What the code gets: statements run with the caller's limits, and the transaction stays the caller's. */
class CodeConnection implements Queryable {
  readonly #connection: Connection;
  readonly #options: QueryOptions;
  readonly #part: CodePart;
  /** Those that were sent and have no answer, by their number. */
  readonly #running = new Map<number, Promise<unknown>>();
  #sent = 0;
  #looking: Promise<unknown> = Promise.resolve();

  constructor(connection: Connection, options: QueryOptions, part: CodePart) {
    this.#connection = connection;
    this.#options = options;
    this.#part = part;
  }

  /** Waits for statements that nobody awaited, and tells how many they were. */
  async settle(): Promise<number> {
    const running = [...this.#running.values()];
    await Promise.allSettled(running);
    return running.length;
  }

  query<R extends Row = Row>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<R>> {
    return this.#track([text], () => this.#connection.query<R>(text, values, { ...this.#options, ...options }));
  }

  batch(statements: readonly Statement[], options?: QueryOptions): Promise<QueryResult[]> {
    const texts = statements.map(({ text }) => text);
    return this.#track(texts, () => this.#connection.batch(statements, { ...this.#options, ...options }));
  }

  exec(script: string, options?: QueryOptions): Promise<void> {
    return this.#track([script], () => this.#connection.exec(script, { ...this.#options, ...options }));
  }

  #track<T>(texts: readonly string[], send: () => Promise<T>): Promise<T> {
    const line = lineIn(new Error("called from"), this.#part.path);
    const number = this.#sent++;
    const running = this.#run(texts, send, line).finally(() => this.#running.delete(number));
    this.#running.set(number, running);
    // Who does not await it is told at the end; until then Node would end the process.
    running.catch(() => undefined);
    return running;
  }

  /** One after the other, so that statements are sent in the order in which they were asked for. */
  #endsTransaction(texts: readonly string[]): Promise<boolean> {
    const before = this.#looking;
    const looked = (async () => {
      await before.catch(() => undefined); // told to whoever sent that one
      for (const sql of texts) if (await endsTransaction(sql)) return true;
      return false;
    })();
    this.#looking = looked;
    return looked;
  }

  async #run<T>(texts: readonly string[], send: () => Promise<T>, line: number | undefined): Promise<T> {
    const { text, path } = this.#part;
    const refuse = (): InvalidInputError =>
      located(
        new InvalidInputError(`${basename(path)}:${line ?? 1}: a migration does not end its own transaction`, {
          hint: "take BEGIN, COMMIT and ROLLBACK out; what a transaction refuses belongs into an SQL file with transaction:false",
        }),
        line,
        text,
      );
    if (await this.#endsTransaction(texts)) throw refuse();
    let result: T;
    try {
      result = await send();
    } catch (error) {
      throw error instanceof DatabaseError ? located(error, line, text) : error;
    }
    if (this.#connection.transactionStatus === "idle") throw refuse();
    return result;
  }
}

function located<E extends Error>(error: E, line: number | undefined, text: string): E {
  offsets.set(error, offsetOf(line ?? 1, text));
  return error;
}

/** The line of the file that an error came through. */
function lineIn(error: unknown, path: string): number | undefined {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const frame = stack.split("\n").find((each) => each.includes(path));
  const line = frame === undefined ? undefined : /:(\d+):\d+\)?\s*$/.exec(frame)?.[1];
  return line === undefined ? undefined : Number(line);
}

/** Where the words of a line begin. */
function offsetOf(line: number, text: string): number {
  const lines = text.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  return before + (lines[line - 1] ?? "").search(/\S|$/);
}

/** The same in a transaction of its own. */
export async function commitCode(connection: Connection, code: MigrationCode, options: QueryOptions): Promise<void> {
  await code.load();
  await connection.exec("BEGIN", options);
  try {
    await code.run(connection, options);
    await connection.exec("COMMIT", options);
  } finally {
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
  }
}
