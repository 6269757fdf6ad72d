// Verifies migrations of any tool: each is run up, down and up again in a throw-away database that holds rows, and after each step
// the catalog and the rows are compared.
import { CancelledError, type Database } from "../../postgres/index.ts";
import type { AdoptedMigration } from "../adopt/folder.ts";
import { surroundingsOfHasura } from "../adopt/hasura.ts";
import {
  makeSupabase,
  reliesOnSupabase,
  SUPABASE_EXTENSIONS,
  SUPABASE_MADE,
  SUPABASE_SEARCH_PATH,
} from "../adopt/supabase.ts";
import { extensionsOf, loadSqlFiles, Notices, UNDEFINED, type ParsedSqlFile } from "../load-sql.ts";
import { createMissingRoles } from "../missing-roles.ts";
import { withBench, type Bench, type BenchOptions } from "./bench.ts";
import { catalogDigest } from "./catalog-digest.ts";
import { preparedReads } from "./prepared-reads.ts";
import type { Verdict, VerifiedMigration, VerifyFinding, VerifyReport } from "./report.ts";
import { prepareScript } from "./run-script.ts";
import { Seeds, type UnseededTable } from "./seeds.ts";
import { applyMigration, tryMigration } from "./trial.ts";
import type { PreparedMigration, SchemaState, Trial, TrialPlace } from "./trial-parts.ts";

export interface VerifyProgress {
  /** How many are done, of how many. */
  readonly done: number;
  readonly total: number;
  /** The file that comes next; `undefined` at the end. */
  readonly file: string | undefined;
}

export interface VerifyOptions extends BenchOptions {
  /**
   * What exists before the first migration, as SQL files. Without any, migrations that rely on Supabase get a stand-in for its
   * schemas, roles and functions, and the report says so.
   */
  readonly setup?: readonly ParsedSqlFile[] | undefined;
  /** Rows that are made up for each table that is empty. Default 3; 0 makes none. */
  readonly rowsPerTable?: number | undefined;
  /** Examines the last so many; those before are applied only. Default: all. */
  readonly last?: number | undefined;
  /** `up`: only that each applies. Default `both`. */
  readonly direction?: "both" | "up" | undefined;
  /** Leaves out statements that fail for want of an extension that the server does not have; the notices name each. Default false. */
  readonly skipsMissingExtensions?: boolean | undefined;
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
}

const ROWS_PER_TABLE = 3;

/**
 * Verifies migrations in their order. What is wrong with them is in the report, nothing is thrown for it. One that does not apply is
 * left out; those after it are examined without it, and `not examined` where they need what it would have made.
 *
 * Roles that the SQL names and does not make are made on a server of our own. On the server of `database` no statement about roles
 * is run.
 *
 * @throws NoShadowError when there is no place for a throw-away database
 * @throws CancelledError when `signal` was aborted
 */
export async function verifyMigrations(
  migrations: readonly AdoptedMigration[],
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const started = performance.now();
  const notices = new Notices();
  const prepared: PreparedMigration[] = [];
  for (const migration of migrations) {
    prepared.push({
      migration,
      up: await prepareScript(migration.up, notices),
      down: migration.down === undefined ? undefined : await prepareScript(migration.down, notices),
    });
  }
  const isOnSupabase = options.setup === undefined && reliesOnSupabase(migrations);
  const statements = [
    ...(options.setup ?? []).flatMap(({ script }) => script.statements),
    ...prepared.flatMap(({ up }) => up.statements),
  ];
  const onHasura = surroundingsOfHasura(migrations);
  const extensions = new Set([
    ...extensionsOf(statements),
    ...(isOnSupabase ? SUPABASE_EXTENSIONS : []),
    ...(onHasura === undefined ? [] : ["pgcrypto"]),
  ]);
  return withBench(options, [...extensions], async (bench) => {
    const verification = new Verification(bench, prepared, options, notices, isOnSupabase);
    await verification.run();
    return verification.report(performance.now() - started);
  });
}

class Verification {
  readonly #bench: Bench;
  readonly #prepared: readonly PreparedMigration[];
  readonly #options: VerifyOptions;
  readonly #notices: Notices;
  readonly #isOnSupabase: boolean;
  readonly #verified: VerifiedMigration[] = [];
  readonly #first: number;
  readonly #skippedExtensions = new Set<string>();
  /** What does not apply, in the order in which it was found. */
  readonly #failed = new Set<PreparedMigration>();
  #seededTables = 0;
  #seededRows = 0;
  #unseeded: readonly UnseededTable[] = [];
  #downs = 0;
  /** Findings of a try that has to be repeated without rows. */
  #carried: readonly VerifyFinding[] | undefined;

  constructor(
    bench: Bench,
    prepared: readonly PreparedMigration[],
    options: VerifyOptions,
    notices: Notices,
    isOnSupabase: boolean,
  ) {
    this.#bench = bench;
    this.#isOnSupabase = isOnSupabase;
    this.#prepared = prepared;
    this.#options = options;
    this.#notices = notices;
    this.#first = options.last === undefined ? 0 : Math.max(0, prepared.length - options.last);
    for (const item of prepared.slice(0, this.#first)) this.#verified.push(verifiedAs(item, "not examined"));
  }

  async run(): Promise<void> {
    // Nearly always one round. A migration that cannot be rolled back and fails or does not lead back costs a new database.
    while (this.#verified.length < this.#prepared.length)
      await this.#bench.withDatabase((database) => this.#round(database));
    this.#progress();
  }

  /** Goes on where the last round ended, until the end or until the database is spoiled. */
  async #round(database: Database): Promise<void> {
    const { signal, rowsPerTable = ROWS_PER_TABLE, direction = "both" } = this.#options;
    const { rights } = await database.serverFacts();
    await using connection = await database.connect({ signal });
    const seeds = new Seeds(connection, rowsPerTable, rights.isSuperuser);
    const reads = preparedReads(connection);
    const place: TrialPlace = {
      connection,
      reads,
      digest: await catalogDigest(reads),
      seeds,
      notices: this.#notices,
      skippedExtensions: this.#skippedExtensions,
      skipsMissing: this.#options.skipsMissingExtensions ?? false,
      ownsServer: this.#bench.ownsServer,
      searchPath: this.#isOnSupabase ? SUPABASE_SEARCH_PATH : undefined,
      signal,
    };
    try {
      if (!(await this.#prepareDatabase(place))) return;
      let schema: SchemaState = {
        digest: await place.digest.read(),
        shapes: undefined,
        rows: undefined,
        catalog: undefined,
      };
      const missingDown = this.#prepared.some(({ down }) => down !== undefined) ? "warning" : "info";
      while (this.#verified.length < this.#prepared.length) {
        if (signal?.aborted === true)
          throw new CancelledError("the verification was cancelled", { cause: signal.reason });
        const item = this.#prepared[this.#verified.length];
        if (item === undefined) break;
        this.#progress(item);
        const began = performance.now();
        const carried = this.#carried;
        const trial = await tryMigration(place, item, schema, {
          triesDown: direction === "both",
          withoutRows: carried !== undefined,
          missingDown,
        });
        this.#carried = trial.state === "rows" ? trial.findings : undefined;
        if (trial.state === "rows") return;
        this.#add(item, trial, carried ?? [], performance.now() - began);
        if (trial.state === "broken" || (trial.state === "failed" && !item.up.isTransaction)) return;
        schema = trial.after;
      }
    } finally {
      const { tables, rows } = seeds.figures();
      this.#seededTables = Math.max(this.#seededTables, tables);
      this.#seededRows += rows;
      this.#unseeded = seeds.unseeded();
    }
  }

  /**
   * Brings an empty database to where the next migration begins, without those that do not apply. False when one of them was found
   * now and left half of itself: another database is needed.
   */
  async #prepareDatabase(place: TrialPlace): Promise<boolean> {
    const { setup = [], signal } = this.#options;
    if (setup.length > 0) {
      const loaded = await loadSqlFiles(place.connection, setup, {
        signal,
        skipsMissingExtensions: this.#options.skipsMissingExtensions,
        ownsServer: place.ownsServer,
      });
      for (const notice of loaded.notices) this.#notices.add(notice);
    }
    if (this.#isOnSupabase) {
      await makeSupabase(place.connection, place.ownsServer);
      this.#notices.add(`${SUPABASE_MADE}; what they lack, or others, can be given with --schema`);
    }
    const onHasura = surroundingsOfHasura(this.#prepared.map(({ migration }) => migration));
    if (onHasura !== undefined) await place.connection.exec(onHasura);
    // Where our own runner keeps its history; migrations that it runs may rely on it.
    if (this.#prepared.some(({ migration }) => migration.tool === "dbmate"))
      await place.connection.exec("CREATE SCHEMA IF NOT EXISTS pgsteward");
    if (this.#bench.ownsServer) {
      const statements = this.#prepared.flatMap(({ up, down }) => [...up.statements, ...(down?.statements ?? [])]);
      await createMissingRoles(place.connection, statements, this.#notices);
    }
    for (const [index, item] of this.#prepared.slice(0, this.#verified.length).entries()) {
      if (this.#failed.has(item)) continue;
      const failure = await applyMigration(place, item);
      if (failure === undefined) continue;
      const { message, sqlState } = failure;
      const finding: VerifyFinding = {
        rule: "up-fails",
        severity: "error",
        message: `it does not apply: ${message}`,
        place: failure.place,
        sqlState,
      };
      this.#verified[index] = this.#failedAs(item, [finding]);
      if (!item.up.isTransaction) return false;
    }
    return true;
  }

  /** One that does not apply. What only lacks the work of one before it is no fault of its own. */
  #failedAs(item: PreparedMigration, findings: readonly VerifyFinding[]): VerifiedMigration {
    const isFirst = this.#failed.size === 0;
    this.#failed.add(item);
    const failure = findings.find(({ rule }) => rule === "up-fails");
    if (failure !== undefined && this.#skippedExtensions.size > 0 && UNDEFINED.has(failure.sqlState ?? "")) {
      const message = `not examined: ${failure.message.replace("it does not apply: ", "")}`;
      return verifiedAs(item, "not examined", [{ ...failure, rule: "needs-extension", severity: "warning", message }]);
    }
    if (failure === undefined || !UNDEFINED.has(failure.sqlState ?? "")) return verifiedAs(item, "failed", findings);
    if (isFirst) {
      if (this.#options.setup !== undefined) return verifiedAs(item, "failed", findings);
      const [says = "", ...excerpt] = failure.message.split("\n");
      const told = [`${says}; what exists before the first migration can be given with --schema`, ...excerpt];
      const hinted = findings.map((finding) =>
        finding === failure ? { ...finding, message: told.join("\n") } : finding,
      );
      return verifiedAs(item, "failed", hinted);
    }
    const [first] = this.#failed;
    const message = `not examined: it needs what is not there, as ${first?.migration.up.file} does not apply: ${failure.message.replace("it does not apply: ", "")}`;
    return verifiedAs(item, "not examined", [{ ...failure, rule: "needs-failed", severity: "info", message }]);
  }

  #add(item: PreparedMigration, trial: Trial, carried: readonly VerifyFinding[], tookMs: number): void {
    if (trial.state === "failed") {
      this.#verified.push({ ...this.#failedAs(item, trial.findings), tookMs: Math.round(tookMs) });
      return;
    }
    const hasFailed = trial.findings.some(({ rule }) => rule === "down-fails");
    const findings = hasFailed ? trial.findings : [...carried, ...trial.findings];
    if (trial.ranDown) this.#downs++;
    const verdict = verdictOf(item, trial, findings, this.#options.direction ?? "both");
    this.#verified.push({
      ...verifiedAs(item, verdict, findings),
      changesSchema: trial.changesSchema,
      tookMs: Math.round(tookMs),
    });
  }

  #progress(next?: PreparedMigration): void {
    this.#options.onProgress?.({
      done: this.#verified.length,
      total: this.#prepared.length,
      file: next?.migration.up.file,
    });
  }

  report(tookMs: number): VerifyReport {
    const findings = this.#verified.flatMap((migration) => migration.findings);
    const count = (severity: VerifyFinding["severity"]): number =>
      findings.filter((finding) => finding.severity === severity).length;
    const { kind, version } = this.#bench.info;
    return {
      migrations: this.#verified,
      examined: {
        ups: this.#verified.filter(({ verdict }) => verdict !== "not examined" && verdict !== "failed").length,
        downs: this.#downs,
        seededTables: this.#seededTables,
        seededRows: this.#seededRows,
        unseededTables: this.#unseeded,
      },
      counts: { error: count("error"), warning: count("warning"), info: count("info") },
      shadow: { kind, version },
      notices: this.#notices.sentences(),
      tookMs: Math.round(tookMs),
    };
  }
}

function verifiedAs(
  { migration }: PreparedMigration,
  verdict: Verdict,
  findings: readonly VerifyFinding[] = [],
): VerifiedMigration {
  const { version, name, tool, up, irreversible } = migration;
  return { version, name, tool, file: up.file, verdict, findings, changesSchema: false, irreversible, tookMs: 0 };
}

function verdictOf(
  { migration, up, down }: PreparedMigration,
  trial: Trial,
  findings: readonly VerifyFinding[],
  direction: "both" | "up",
): Verdict {
  const has = (...rules: readonly VerifyFinding["rule"][]): boolean =>
    findings.some(({ rule }) => rules.includes(rule));
  if (direction === "up") return "applied";
  if (migration.irreversible !== undefined) return "irreversible";
  // Of an empty file there is nothing to take back.
  if ((down === undefined && up.statements.length > 0) || has("down-missing")) return "no way back";
  const isWrong = findings.some(
    ({ rule, severity }) =>
      (severity === "error" && rule !== "refused-in-transaction") ||
      (severity === "warning" && rule === "down-fails-on-rows"),
  );
  if (isWrong) return "not reversible";
  return has("data-not-restored") ? "data lost" : "reversible";
}
