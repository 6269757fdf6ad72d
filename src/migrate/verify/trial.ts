// Tries one migration: up, down and up again, with the catalog and the rows compared after each. What leads back is rolled back where
// that can be, so that one bad migration does not spoil the database for the next.
import { compareCatalogs, readCatalog, type Catalog } from "../../catalog/index.ts";
import { DatabaseError, type Connection, type Queryable } from "../../postgres/index.ts";
import type { AdoptedMigration } from "../adopt/folder.ts";
import type { ScriptStatement } from "../sql-script.ts";
import type { CatalogDigest } from "./catalog-digest.ts";
import { separateColumnOrder } from "./column-order.ts";
import { compareRows, fingerprint, type DatabaseRows } from "./fingerprints.ts";
import type { VerifyFinding, VerifyRule, VerifySeverity } from "./report.ts";
import {
  isAboutRows,
  mayHelpToCommit,
  resetSession,
  runScript,
  tableOf,
  type PreparedScript,
  type ScriptFailure,
  type ScriptPlace,
} from "./run-script.ts";
import type { Seeds } from "./seeds.ts";
import { readSequences, restoreSequences } from "./sequences.ts";

export interface PreparedMigration {
  readonly migration: AdoptedMigration;
  readonly up: PreparedScript;
  readonly down: PreparedScript | undefined;
}

export interface TrialPlace extends ScriptPlace {
  readonly seeds: Seeds;
  /** For the readings, on the same connection. */
  readonly reads: Queryable;
  readonly digest: CatalogDigest;
}

/** The schema at one moment. */
export interface SchemaState {
  readonly catalog: Catalog;
  /** Equal to another one of this database: the same catalog, so it need not be read. */
  readonly digest: string;
}

export interface TrialOptions {
  /** False: only that it applies. */
  readonly triesDown: boolean;
  /** No rows are made for it: with them it failed, and could not be rolled back. */
  readonly withoutRows: boolean;
  /** What a migration without a way back is: `warning` where its neighbours have one. */
  readonly missingDown: VerifySeverity;
}

export interface Trial {
  readonly findings: readonly VerifyFinding[];
  readonly changes: number;
  readonly ranDown: boolean;
  /** The schema after it. */
  readonly after: SchemaState;
  /**
   * - `clean`: the database is as after the migration
   * - `broken`: it is not, and a new one is needed for the next migration
   * - `failed`: the migration does not apply
   * - `rows`: it failed on rows and cannot be rolled back; to be tried without rows in a new database
   */
  readonly state: "clean" | "broken" | "failed" | "rows";
}

export async function tryMigration(
  place: TrialPlace,
  prepared: PreparedMigration,
  before: SchemaState,
  options: TrialOptions,
): Promise<Trial> {
  return new MigrationTrial(place, prepared, before, options).run();
}

/** Applies one without looking: those before the first that is examined, and after a new database was made. */
export async function applyMigration(
  place: ScriptPlace,
  { up }: PreparedMigration,
): Promise<ScriptFailure | undefined> {
  return runWhole(place, up);
}

/** What changes rows or settings and is not seen in the schema. Made-up rows need not be those that an UPDATE is about. */
const CHANGES_MORE: ReadonlySet<string> = new Set([
  "AlterDatabaseSetStmt",
  "AlterRoleSetStmt",
  "AlterSystemStmt",
  "DeleteStmt",
  "InsertStmt",
  "MergeStmt",
  "TruncateStmt",
  "UpdateStmt",
]);

/** `SELECT 1`, `SELECT 'down SQL query'`: tools that want a statement are given one. */
function isWithoutEffect({ kind, text }: ScriptStatement): boolean {
  return kind === "SelectStmt" && /^select\s+(?:\d+|null|true|false|'[^']*')(?:\s+as\s+\w+)?\s*;?\s*$/i.test(text);
}

class MigrationTrial {
  readonly #place: TrialPlace;
  readonly #connection: Connection;
  readonly #prepared: PreparedMigration;
  readonly #before: Catalog;
  readonly #options: TrialOptions;
  readonly #findings: VerifyFinding[] = [];
  readonly #digestBefore: string;
  #rowsBefore: DatabaseRows = new Map();
  #after: Catalog;
  #digestAfter: string;
  #changes = 0;
  #ranDown = false;

  constructor(place: TrialPlace, prepared: PreparedMigration, before: SchemaState, options: TrialOptions) {
    this.#place = place;
    this.#connection = place.connection;
    this.#prepared = prepared;
    this.#before = before.catalog;
    this.#digestBefore = before.digest;
    this.#after = before.catalog;
    this.#digestAfter = before.digest;
    this.#options = options;
  }

  async run(): Promise<Trial> {
    const state = await this.#run();
    const { irreversible } = this.#prepared.migration;
    // What the file says cannot be undone is no fault; it is still told.
    const findings = this.#findings.map((finding) =>
      irreversible !== undefined && isAboutWayBack(finding.rule) ? { ...finding, severity: "info" as const } : finding,
    );
    const after = { catalog: this.#after, digest: this.#digestAfter };
    return { findings, changes: this.#changes, ranDown: this.#ranDown, after, state };
  }

  async #run(): Promise<Trial["state"]> {
    const { seeds } = this.#place;
    const { up, down, migration } = this.#prepared;
    if (!this.#options.withoutRows) await seeds.fill(this.#before);
    if (this.#options.triesDown) this.#rowsBefore = await this.#fingerprint(this.#before);
    const state = await this.#applyUp();
    if (state !== "clean") return state;
    this.#noteRefused(up);
    this.#digestAfter = await this.#place.digest();
    if (this.#digestAfter !== this.#digestBefore) {
      this.#after = await this.#readCatalog();
      this.#changes = compareCatalogs(this.#before, this.#after).length;
    }
    if (!this.#options.triesDown) return "clean";
    if (down === undefined) {
      if (migration.irreversible === undefined && up.statements.length > 0)
        this.#find("down-missing", this.#options.missingDown, `nothing leads back from it`);
      return "clean";
    }
    if (down.statements.length === 0 && down.fault === undefined && this.#changes > 0) {
      this.#find("down-missing", "warning", "its way back is empty");
      return "clean";
    }
    this.#ranDown = true;
    this.#noteRefused(down);
    const stateAfter = await this.#goBack(up, down);
    const isEmpty = down.fault === undefined && down.statements.every(isWithoutEffect);
    const hasEffect = up.statements.some(({ kind }) => CHANGES_MORE.has(kind));
    if (isEmpty && hasEffect && !this.#findings.some(({ rule }) => isAboutWayBack(rule)))
      this.#find("down-missing", "warning", "its way back is empty");
    return stateAfter;
  }

  async #applyUp(): Promise<Trial["state"]> {
    const { seeds } = this.#place;
    const { up } = this.#prepared;
    const sequences = await readSequences(this.#connection);
    const failure = await runWhole(this.#place, up);
    if (failure === undefined) return "clean";
    // Without rows it may fail for another reason, and that is the one that stays.
    let last = failure;
    if (!seeds.isEmpty && up.fault === undefined) {
      if (!up.isTransaction) {
        this.#failedOnRows("up-fails-on-rows", failure);
        return "rows";
      }
      // First only what the refusal names, so that as many rows as can be are there to be lost.
      const named = failure.table === undefined ? [] : [failure.table];
      for (const tables of [...named.map((table) => [table]), undefined]) {
        await seeds.clear(this.#before, tables);
        this.#rowsBefore = await this.#fingerprint(this.#before);
        await restoreSequences(this.#connection, sequences);
        const again = await runWhole(this.#place, up);
        if (again !== undefined) {
          last = again;
          continue;
        }
        this.#failedOnRows("up-fails-on-rows", failure);
        return "clean";
      }
    }
    this.#find("up-fails", "error", `it does not apply: ${last.message}`, last);
    return "failed";
  }

  async #goBack(up: PreparedScript, down: PreparedScript): Promise<Trial["state"]> {
    if (down.fault !== undefined) {
      this.#find("down-fails", "error", `its way back cannot be read: ${down.fault.message}`, down.fault);
      return "clean";
    }
    if (!up.isTransaction || !down.isTransaction) return this.#goBackCommitting(up, down);
    const first = await this.#goBackInTransaction(up, down, false);
    if (first === undefined) return "clean";
    if (mayHelpToCommit(first)) return this.#goBackCommitting(up, down);
    if (!this.#place.seeds.isEmpty) {
      const second = await this.#goBackInTransaction(up, down, true);
      if (second === undefined) {
        this.#failedOnRows("down-fails-on-rows", first);
        return "clean";
      }
    }
    this.#find("down-fails", "error", `its way back fails: ${first.message}`, first);
    return "clean";
  }

  /** @returns why it cannot be gone back; what else was seen is among the findings. The database is as before the call. */
  async #goBackInTransaction(
    up: PreparedScript,
    down: PreparedScript,
    withoutRows: boolean,
  ): Promise<ScriptFailure | undefined> {
    const sequences = await readSequences(this.#connection);
    await this.#connection.exec("BEGIN");
    try {
      if (withoutRows) {
        await this.#place.seeds.clear(this.#after);
        await this.#fireDeferred();
      }
      const failure = (await runScript(this.#place, down)) ?? (await this.#fireDeferred());
      if (failure !== undefined) return failure;
      await resetSession(this.#connection);
      const restored = await this.#compareRestored(withoutRows);
      const again = (await runScript(this.#place, up)) ?? (await this.#fireDeferred());
      if (again !== undefined && restored !== "other" && mayHelpToCommit(again)) return again;
      await this.#compareAgain(again, restored);
      return undefined;
    } finally {
      await this.#connection.exec("ROLLBACK");
      await resetSession(this.#connection);
      await restoreSequences(this.#connection, sequences);
    }
  }

  /** The same with a COMMIT after each part, for what refuses a transaction. */
  async #goBackCommitting(up: PreparedScript, down: PreparedScript): Promise<Trial["state"]> {
    const found = this.#findings.length;
    const failure = await runWhole(this.#place, { ...down, isTransaction: down.isTransaction && up.isTransaction });
    if (failure !== undefined) {
      if (!this.#place.seeds.isEmpty && isAboutRows(failure)) {
        this.#failedOnRows("down-fails-on-rows", failure);
        return "rows";
      }
      this.#find("down-fails", "error", `its way back fails: ${failure.message}`, failure);
      return down.isTransaction ? "clean" : "broken";
    }
    const restored = await this.#compareRestored(this.#options.withoutRows);
    await this.#compareAgain(await runWhole(this.#place, up), restored);
    this.#digestAfter = await this.#place.digest();
    return this.#findings.slice(found).some(({ severity }) => severity === "error") ? "broken" : "clean";
  }

  async #compareRestored(withoutRows: boolean): Promise<"exactly" | "equal" | "other"> {
    const isExact = (await this.#place.digest()) === this.#digestBefore;
    const restored = isExact ? this.#before : await this.#readCatalog();
    const all = compareCatalogs(this.#before, restored);
    const { order, rest: changes } = separateColumnOrder(this.#before, restored, all);
    if (changes.length > 0) {
      const count = changes.length === 1 ? "1 difference" : `${changes.length} differences`;
      this.#find("down-does-not-restore", "error", `its way back leads to another schema: ${count}`, undefined, {
        changes,
      });
    } else if (order.length > 0) {
      const message =
        "after its way back columns of views stand in another order, as a column that comes back stands last";
      this.#find("down-does-not-restore", "info", message, undefined, { changes: order });
    }
    const lost = withoutRows ? [] : compareRows(this.#rowsBefore, await this.#fingerprint(restored));
    if (lost.length > 0) {
      const tables = lost.map(({ table }) => table).join(", ");
      this.#find(
        "data-not-restored",
        "warning",
        `after its way back the data of ${tables} is other than before`,
        undefined,
        {
          lost,
        },
      );
    }
    if (changes.length > 0) return "other";
    return isExact && !withoutRows && lost.length === 0 ? "exactly" : "equal";
  }

  async #compareAgain(failure: ScriptFailure | undefined, restored: "exactly" | "equal" | "other"): Promise<void> {
    if (failure !== undefined) {
      this.#find("up-again-fails", "error", `after its way back it does not apply again: ${failure.message}`, failure);
      return;
    }
    // From the very schema and rows that were there before, the same statements lead to the same schema.
    if (restored === "exactly") return;
    const again = await this.#readCatalog();
    const { rest: changes } = separateColumnOrder(this.#after, again, compareCatalogs(this.#after, again));
    if (changes.length === 0) return;
    this.#find("up-again-differs", "error", "applied again after its way back it leads to another schema", undefined, {
      changes,
    });
  }

  async #readCatalog(): Promise<Catalog> {
    return readCatalog(this.#place.reads, { includeDependencies: false, signal: this.#place.signal });
  }

  async #fingerprint(catalog: Catalog): Promise<DatabaseRows> {
    return fingerprint(this.#place.reads, catalog);
  }

  /** Deferred constraints are checked now, as COMMIT would; events that wait would also refuse the next ALTER TABLE. */
  async #fireDeferred(): Promise<ScriptFailure | undefined> {
    return failureOfExec(this.#connection, "SET CONSTRAINTS ALL IMMEDIATE");
  }

  #noteRefused({ refused, script }: PreparedScript): void {
    if (refused === undefined) return;
    const { tool } = this.#prepared.migration;
    // golang-migrate, Prisma and others have a setting or a newer version that sends the statements one by one.
    const severity = script.transaction === "file" || script.transaction === "batch" ? "error" : "warning";
    this.#find(
      "refused-in-transaction",
      severity,
      `${refused.what} is refused in the transaction that ${script.transaction === "statement" ? "the file" : tool} opens; here it ran outside of one`,
    );
  }

  #failedOnRows(rule: "up-fails-on-rows" | "down-fails-on-rows", failure: ScriptFailure): void {
    // A NOT NULL column without a default fails on any row; other refusals may be due to what the made-up rows hold.
    const severity = failure.sqlState === "23502" ? "warning" : "info";
    const what = rule === "up-fails-on-rows" ? "it does not apply" : "its way back fails";
    this.#find(rule, severity, `${what} to tables with made-up rows, only to empty ones: ${failure.message}`, failure);
  }

  #find(
    rule: VerifyRule,
    severity: VerifySeverity,
    message: string,
    failure?: ScriptFailure,
    more: Pick<VerifyFinding, "changes" | "lost"> = {},
  ): void {
    this.#findings.push({ rule, severity, message, place: failure?.place, sqlState: failure?.sqlState, ...more });
  }
}

function isAboutWayBack(rule: VerifyRule): boolean {
  return rule.startsWith("down-") || rule.startsWith("up-again-") || rule === "data-not-restored";
}

async function runWhole(place: ScriptPlace, prepared: PreparedScript): Promise<ScriptFailure | undefined> {
  const { connection } = place;
  let failure: ScriptFailure | undefined;
  if (prepared.isTransaction) {
    await connection.exec("BEGIN");
    failure = (await runScript(place, prepared)) ?? (await failureOfExec(connection, "COMMIT"));
  } else {
    failure = await runScript(place, prepared);
    if (failure === undefined && connection.transactionStatus !== "idle")
      failure = await failureOfExec(connection, "COMMIT");
  }
  if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
  await resetSession(connection);
  // Statements that their tool runs one by one were put together here; where that is what failed, they run as the tool does it.
  const { transaction } = prepared.script;
  const isTogether =
    prepared.isTransaction &&
    (transaction === "statement" || (transaction === "implicit" && prepared.statements.length === 1));
  if (failure !== undefined && isTogether && mayHelpToCommit(failure))
    return runWhole(place, { ...prepared, isTransaction: false });
  return failure;
}

async function failureOfExec(connection: Connection, sql: string): Promise<ScriptFailure | undefined> {
  try {
    await connection.exec(sql);
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { message: error.message, sqlState: error.sqlState, table: tableOf(error), place: undefined };
  }
}
