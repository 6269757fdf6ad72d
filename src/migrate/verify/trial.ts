// Tries one migration: up, down and up again, with the catalog and the rows compared after each. What leads back is rolled back where
// that can be, so that one bad migration does not spoil the database for the next.
import { compareCatalogs, readCatalog, type Catalog } from "../../catalog/index.ts";
import type { Connection } from "../../postgres/index.ts";
import { separateColumnOrder } from "./column-order.ts";
import { separateLeftBehind } from "./left-behind.ts";
import { compareRows, fingerprint, type DatabaseRows } from "./fingerprints.ts";
import type { VerifyFinding, VerifyRule, VerifySeverity } from "./report.ts";
import {
  fireDeferred,
  isAboutRows,
  mayHelpToCommit,
  resetSession,
  runScript,
  runWhole,
  type PreparedScript,
  type ScriptFailure,
  type ScriptPlace,
} from "./run-script.ts";
import { readSequences, restoreSequences } from "./sequences.ts";
import { readShapes, tablesOf, type SchemaShapes } from "./table-shapes.ts";
import { thereAndBack } from "./there-and-back.ts";
import {
  changesMore,
  isWithoutEffect,
  type PreparedMigration,
  type SchemaState,
  type Trial,
  type TrialOptions,
  type TrialPlace,
} from "./trial-parts.ts";

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

/** The catalogs before and after the migration, read where it has to be looked at closely. */
interface Catalogs {
  readonly before: Catalog;
  readonly after: Catalog;
}

class MigrationTrial {
  readonly #place: TrialPlace;
  readonly #connection: Connection;
  readonly #prepared: PreparedMigration;
  readonly #options: TrialOptions;
  readonly #findings: VerifyFinding[] = [];
  readonly #stateBefore: SchemaState;
  #catalogBefore: Catalog | undefined;
  #rowsBefore: DatabaseRows = new Map();
  #stateAfter: SchemaState;
  #changesSchema = false;
  #ranDown = false;

  constructor(place: TrialPlace, prepared: PreparedMigration, before: SchemaState, options: TrialOptions) {
    this.#place = place;
    this.#connection = place.connection;
    this.#prepared = prepared;
    this.#stateBefore = before;
    this.#catalogBefore = before.catalog;
    this.#stateAfter = before;
    this.#options = options;
  }

  async run(): Promise<Trial> {
    const state = await this.#run();
    const { irreversible } = this.#prepared.migration;
    // What the file says cannot be undone is no fault; it is still told.
    const findings = this.#findings.map((finding) =>
      irreversible !== undefined && isAboutWayBack(finding.rule) ? { ...finding, severity: "info" as const } : finding,
    );
    return { findings, changesSchema: this.#changesSchema, ranDown: this.#ranDown, after: this.#stateAfter, state };
  }

  async #run(): Promise<Trial["state"]> {
    const { up, down, migration } = this.#prepared;
    const { triesDown } = this.#options;
    const shapes = await this.#makeRows();
    if (!triesDown || down === undefined) {
      const state = await this.#applyUp();
      if (state !== "clean") return state;
      this.#noteRefused(up);
      this.#noteDigest(await this.#place.digest.read());
      if (triesDown && migration.irreversible === undefined && up.statements.length > 0)
        this.#find("down-missing", this.#options.missingDown, `nothing leads back from it`);
      return "clean";
    }
    const isQuick = up.isTransaction && down.isTransaction && down.statements.length > 0 && !this.#options.withoutRows;
    const quick = isQuick
      ? await thereAndBack(this.#place, up, down, {
          digest: this.#stateBefore.digest,
          shapes,
          rows: this.#rowsBefore,
        })
      : undefined;
    if (quick === undefined) return this.#tryClosely(up, down);
    this.#ranDown = true;
    this.#changesSchema = quick.digest !== this.#stateBefore.digest;
    this.#stateAfter = { ...quick, catalog: this.#changesSchema ? undefined : this.#catalogBefore };
    this.#noteWithoutEffect(up, down);
    return "clean";
  }

  /** Each direction in a transaction of its own, where it has one; with the catalogs. */
  async #tryClosely(up: PreparedScript, down: PreparedScript): Promise<Trial["state"]> {
    const before = await this.#readBefore();
    const state = await this.#applyUp();
    if (state !== "clean") return state;
    this.#noteRefused(up);
    const digest = await this.#place.digest.read();
    const isSame = digest === this.#stateBefore.digest;
    const catalogs = { before, after: isSame ? before : await this.#readCatalog() };
    this.#stateAfter = isSame
      ? { ...this.#stateBefore, rows: undefined, catalog: before }
      : { digest, shapes: undefined, rows: undefined, catalog: catalogs.after };
    this.#changesSchema = !isSame && compareCatalogs(before, catalogs.after).length > 0;
    if (down.statements.length === 0 && down.fault === undefined && this.#changesSchema) {
      this.#find("down-missing", "warning", "its way back is empty");
      return "clean";
    }
    this.#ranDown = true;
    this.#noteRefused(down);
    const stateAfter = await this.#goBack(up, down, catalogs);
    this.#noteWithoutEffect(up, down);
    return stateAfter;
  }

  #noteDigest(digest: string): void {
    this.#changesSchema = digest !== this.#stateBefore.digest;
    this.#stateAfter = this.#changesSchema
      ? { digest, shapes: undefined, rows: undefined, catalog: undefined }
      : { ...this.#stateBefore, rows: undefined, catalog: this.#catalogBefore };
  }

  #noteWithoutEffect(up: PreparedScript, down: PreparedScript): void {
    const isEmpty = down.fault === undefined && down.statements.every(isWithoutEffect);
    const hasEffect = up.statements.some(changesMore);
    if (isEmpty && hasEffect && !this.#findings.some(({ rule }) => isAboutWayBack(rule)))
      this.#find("down-missing", "warning", "its way back is empty");
  }

  /** Rows for the tables that have none, and the fingerprints of all. */
  async #makeRows(): Promise<SchemaShapes> {
    const { seeds, reads } = this.#place;
    const shapes = this.#stateBefore.shapes ?? (await readShapes(reads));
    this.#stateAfter = { ...this.#stateBefore, shapes, rows: undefined };
    this.#rowsBefore = this.#stateBefore.rows ?? (await fingerprint(reads, shapes.tables));
    if (!this.#options.withoutRows && (await seeds.mayFill(shapes, this.#rowsBefore))) {
      const isFilled = await seeds.fill(await this.#readBefore());
      if (isFilled) this.#rowsBefore = await fingerprint(reads, shapes.tables);
    }
    return shapes;
  }

  /** To be asked for only while the database is as before the migration. */
  async #readBefore(): Promise<Catalog> {
    this.#catalogBefore ??= await this.#readCatalog();
    return this.#catalogBefore;
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
        const before = await this.#readBefore();
        await seeds.clear(before, tables);
        this.#rowsBefore = await this.#fingerprint(before);
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

  async #goBack(up: PreparedScript, down: PreparedScript, catalogs: Catalogs): Promise<Trial["state"]> {
    if (down.fault !== undefined) {
      this.#find("down-fails", "error", `its way back cannot be read: ${down.fault.message}`, down.fault);
      return "clean";
    }
    if (!up.isTransaction || !down.isTransaction) return this.#goBackCommitting(up, down, catalogs);
    const first = await this.#goBackInTransaction(up, down, catalogs, false);
    if (first === undefined) return "clean";
    if (mayHelpToCommit(first)) return this.#goBackCommitting(up, down, catalogs);
    if (!this.#place.seeds.isEmpty) {
      const second = await this.#goBackInTransaction(up, down, catalogs, true);
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
    catalogs: Catalogs,
    withoutRows: boolean,
  ): Promise<ScriptFailure | undefined> {
    const sequences = await readSequences(this.#connection);
    await this.#connection.exec("BEGIN");
    try {
      if (withoutRows) {
        await this.#place.seeds.clear(catalogs.after);
        await fireDeferred(this.#connection);
      }
      const failure = (await runScript(this.#place, down)) ?? (await fireDeferred(this.#connection));
      if (failure !== undefined) return failure;
      await resetSession(this.#connection);
      const restored = await this.#compareRestored(catalogs.before, withoutRows);
      const again = (await runScript(this.#place, up)) ?? (await fireDeferred(this.#connection));
      if (again !== undefined && restored !== "other" && mayHelpToCommit(again)) return again;
      await this.#compareAgain(catalogs.after, again, restored);
      return undefined;
    } finally {
      await this.#connection.exec("ROLLBACK");
      await resetSession(this.#connection);
      await restoreSequences(this.#connection, sequences);
    }
  }

  /** The same with a COMMIT after each part, for what refuses a transaction. */
  async #goBackCommitting(up: PreparedScript, down: PreparedScript, catalogs: Catalogs): Promise<Trial["state"]> {
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
    const restored = await this.#compareRestored(catalogs.before, this.#options.withoutRows);
    await this.#compareAgain(catalogs.after, await runWhole(this.#place, up), restored);
    this.#stateAfter = {
      digest: await this.#place.digest.read(),
      shapes: undefined,
      rows: undefined,
      catalog: catalogs.after,
    };
    return this.#findings.slice(found).some(({ severity }) => severity === "error") ? "broken" : "clean";
  }

  async #compareRestored(before: Catalog, withoutRows: boolean): Promise<"exactly" | "equal" | "other"> {
    const isExact = (await this.#place.digest.read()) === this.#stateBefore.digest;
    const restored = isExact ? before : await this.#readCatalog();
    const all = compareCatalogs(before, restored);
    const { order, rest } = separateColumnOrder(before, restored, all);
    const { left, rest: changes, names } = separateLeftBehind(this.#prepared.up.statements, rest);
    if (left.length > 0) {
      const message = `its way back leaves ${names.join(", ")}, made IF NOT EXISTS: others may use it`;
      this.#find("down-leaves-shared", "info", message, undefined, { changes: left });
    }
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

  async #compareAgain(
    after: Catalog,
    failure: ScriptFailure | undefined,
    restored: "exactly" | "equal" | "other",
  ): Promise<void> {
    if (failure !== undefined) {
      this.#find("up-again-fails", "error", `after its way back it does not apply again: ${failure.message}`, failure);
      return;
    }
    // From the very schema and rows that were there before, the same statements lead to the same schema.
    if (restored === "exactly") return;
    const again = await this.#readCatalog();
    const { rest: changes } = separateColumnOrder(after, again, compareCatalogs(after, again));
    if (changes.length === 0) return;
    this.#find("up-again-differs", "error", "applied again after its way back it leads to another schema", undefined, {
      changes,
    });
  }

  async #readCatalog(): Promise<Catalog> {
    return readCatalog(this.#place.reads, { includeDependencies: false, signal: this.#place.signal });
  }

  async #fingerprint(catalog: Catalog): Promise<DatabaseRows> {
    return fingerprint(this.#place.reads, tablesOf(catalog));
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
