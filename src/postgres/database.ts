// The shapes every part of pgsteward works with: a database (one pool per URL and process), a leased connection, a
// statement and its result. connect.ts makes them; nothing here runs.
import type { ClientBase, CustomTypesConfig, QueryResult as DriverResult, QueryResultRow } from "pg";
import type { ListenOptions, Notification, Subscription } from "./listener.ts";

export type Row = QueryResultRow;
/** `rows`, `rowCount`, `command` and `fields` of one statement, as node-postgres gives them. */
export type QueryResult<R extends Row = Row> = DriverResult<R>;

/** One SQL statement. Values travel as parameters, never inside the text. */
export interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
  /** Name of a server-side prepared statement; without it the statement is parsed each time. */
  readonly name?: string | undefined;
  /** `false`: never prepared under a name, for texts that are made once. Default: when the database prepares statements. */
  readonly prepare?: false | undefined;
  /** `"array"`: rows come as arrays in column order (what Drizzle asks for). */
  readonly rowMode?: "array" | undefined;
  readonly types?: CustomTypesConfig | undefined;
  /** Maps each row as it arrives, so that no row is held twice; the result's `rows` hold what it returns. */
  readonly rowMapper?: RowMapper | undefined;
}

/**
 * Called with the parsers of the result's columns when these are known; what it returns gets the server's text of each row, in
 * an array that the next row overwrites.
 */
export type RowMapper = (
  parsers: readonly ((text: string) => unknown)[],
) => (texts: readonly (string | null)[]) => unknown;

export interface QueryOptions {
  /** Limit in milliseconds, enforced by the server (`statement_timeout`). Default: the database's `statementTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Aborting sends a cancel request to the server. */
  readonly signal?: AbortSignal | undefined;
}

export interface AcquireOptions {
  /** How long to wait for a free connection, in milliseconds. Default: the pool's `acquireTimeoutMs`. Never endless. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Takes a second connection although a unit of work is open in this flow. Its statements are not part of that unit. */
  readonly besideUnit?: boolean | undefined;
}

/** What both a database and a leased connection can run. */
export interface Queryable {
  /** Runs one statement and returns its result. On a database it joins the unit of work that is open in this flow. */
  query<R extends Row = Row>(
    text: string,
    values?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<QueryResult<R>>;
  /**
   * Sends all statements and one Sync in one network flush; PostgreSQL runs them as one implicit transaction: all or
   * nothing. Cannot hold SAVEPOINT, VACUUM or CREATE INDEX CONCURRENTLY.
   */
  batch(statements: readonly Statement[], options?: QueryOptions): Promise<QueryResult[]>;
  /**
   * Runs a script of several statements without parameters through the simple protocol (fixtures, migrations, DDL that
   * refuses a transaction block). Several statements in one script are one implicit transaction unless they say BEGIN.
   */
  exec(script: string, options?: QueryOptions): Promise<void>;
}

export type TransactionStatus = "idle" | "open" | "failed";

/** A connection taken from the pool. Give it back with `release()` or `await using`. */
export interface Connection extends Queryable, AsyncDisposable {
  readonly database: Database;
  /** The driver's client, for cursors and COPY. */
  readonly client: ClientBase;
  readonly transactionStatus: TransactionStatus;
  /**
   * Asks the server to cancel what this connection runs (a second, short connection). Resolves when the request was sent.
   *
   * @throws InvalidInputError on the embedded database
   * @throws ConnectionRefusedError, ConnectionLostError when the request does not reach the server
   */
  cancel(): Promise<void>;
  /** Gives it back. A connection that is not idle, or released with an error, is closed instead of reused. Idempotent. */
  release(error?: Error): void;
}

/** How a pool stands now. Handles of one URL share it. */
export interface PoolFigures {
  /** Open connections, free ones among them, callers waiting, and the limits. */
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
  readonly size: number;
  readonly queueLimit: number;
  /** Since the database was opened: connections handed out, and the time callers waited for them in milliseconds. */
  readonly acquired: number;
  readonly waitMs: { readonly total: number; readonly mean: number; readonly max: number };
}

/** A connection that was taken and not given back yet. */
export interface Lease {
  /** Where it was taken: the caller's stack frame, e.g. `loadAgent (/app/agents.ts:12:9)`. */
  readonly takenAt: string;
  readonly heldMs: number;
}

export type DatabaseKind = "server" | "pglite";

/** What the server is and lets this login do. Read once per database and cached. */
export interface ServerFacts {
  /** e.g. `{ number: 180004, text: "18.4" }` (`server_version_num`, `server_version`). */
  readonly version: { readonly number: number; readonly text: string };
  readonly kind: DatabaseKind;
  readonly databaseName: string;
  readonly role: "primary" | "replica";
  /** A pooler (PgBouncer or alike) stands between: the backend's process id differs from the one we were told. */
  readonly behindPooler: boolean;
  readonly extensions: readonly { readonly name: string; readonly version: string; readonly schema: string }[];
  readonly rights: {
    readonly user: string;
    readonly isSuperuser: boolean;
    readonly bypassesRowSecurity: boolean;
    readonly canCreateDatabase: boolean;
    readonly canCreateRole: boolean;
    readonly canCreateSchema: boolean;
  };
}

/** What `health()` found out by one round trip. It never rejects: what fails is told here. */
export interface Health {
  readonly ok: boolean;
  /** Round trip of one `SELECT` in milliseconds, waiting for a connection not included. */
  readonly latencyMs: number | undefined;
  readonly pool: PoolFigures;
  readonly server: ServerFacts | undefined;
  /** Set when `ok` is false: code, message and hint of what failed. */
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | undefined } | undefined;
}

/**
 * What the layers above may rely on. Found out by itself; single fields can be set in `openDatabase({ backend })`, which also
 * makes plain PostgreSQL take the paths of a distributed one, for tests.
 */
export interface Backend {
  /** How a unit's context is set: Citus passes on `SET LOCAL`, as a command, but not what `set_config()` sets. */
  readonly tenantSetting: "set_config" | "set local";
  /** COPY from and to the client. */
  readonly copy: boolean;
  /** LISTEN hears what other connections NOTIFY. */
  readonly listen: boolean;
  /** Advisory locks that a session holds. Those of a transaction work everywhere. */
  readonly advisoryLocks: boolean;
  /** Named prepared statements. */
  readonly namedStatements: boolean;
  /** One transaction may touch rows of several tenants. */
  readonly multiTenantTransactions: boolean;
}

/** One engine: a pool of connections to one URL. */
export interface Database extends Queryable, AsyncDisposable {
  /** The URL without its password. */
  readonly url: string;
  readonly kind: DatabaseKind;
  /** Whether prepared statements may be named (false behind PgBouncer without prepared-statement support). */
  readonly preparesStatements: boolean;
  /** Before the first connection: what the kind of database has by itself. */
  readonly backend: Backend;
  connect(options?: AcquireOptions): Promise<Connection>;
  health(options?: { readonly timeoutMs?: number }): Promise<Health>;
  serverFacts(): Promise<ServerFacts>;
  poolFigures(): PoolFigures;
  /** Connections held longer than `heldLongerThanMs` (default 0: all that are out), longest first. */
  leases(heldLongerThanMs?: number): readonly Lease[];
  /**
   * Hears what other sessions send with `pg_notify(channel, payload)`, once they commit. One connection beside the pool serves
   * all channels; when it breaks it is made again. Every role that may connect may send, and hears all tenants: send
   * what to look at, not what is in it.
   *
   * @param channel - as it is: `Tasks` and `tasks` are two
   * @throws InvalidInputError behind a pooler in transaction mode and on a replica
   * @throws NestedCheckoutError inside a unit of work
   * @see https://www.postgresql.org/docs/18/sql-notify.html
   */
  listen(
    channel: string,
    onNotification: (notification: Notification) => void,
    options?: ListenOptions,
  ): Promise<Subscription>;
  /** Closes this handle; the last handle of an engine waits for leased connections (`drainTimeoutMs`) and ends the pool. */
  close(): Promise<void>;
}
