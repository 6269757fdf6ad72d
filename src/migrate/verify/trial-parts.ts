// What one try of a migration is given, and what it answers.
import type { Catalog } from "../../catalog/index.ts";
import type { Queryable } from "../../postgres/index.ts";
import type { AdoptedMigration } from "../adopt/folder.ts";
import type { ScriptStatement } from "../sql-script.ts";
import type { CatalogDigest } from "./catalog-digest.ts";
import type { DatabaseRows } from "./fingerprints.ts";
import type { VerifyFinding, VerifySeverity } from "./report.ts";
import type { PreparedScript, ScriptPlace } from "./run-script.ts";
import type { Seeds } from "./seeds.ts";
import type { SchemaShapes } from "./table-shapes.ts";

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

/** The schema at one moment. What is `undefined` was not needed yet. */
export interface SchemaState {
  /** Equal to another one of this database: the same catalog, so it need not be read. */
  readonly digest: string;
  readonly shapes: SchemaShapes | undefined;
  readonly rows: DatabaseRows | undefined;
  readonly catalog: Catalog | undefined;
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
  readonly changesSchema: boolean;
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
export function isWithoutEffect({ kind, text }: ScriptStatement): boolean {
  return kind === "SelectStmt" && /^select\s+(?:\d+|null|true|false|'[^']*')(?:\s+as\s+\w+)?\s*;?\s*$/i.test(text);
}

/** What changes rows or settings and is not seen in the schema. Made-up rows need not be those that an UPDATE is about. */
export function changesMore({ kind }: ScriptStatement): boolean {
  return CHANGES_MORE.has(kind);
}
