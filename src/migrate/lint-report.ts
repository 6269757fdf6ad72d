// What the linter takes and gives: options, findings, the report. Types only.
import type { Catalog } from "../catalog/index.ts";
import type { LintFile, RecognisedFile } from "./lint-files.ts";
import type { LintRule, LintSeverity } from "./lint-rules/rule.ts";
import type { LockMode } from "./locks.ts";

export interface LintConfig {
  /** `recommended` (default): the hazards. `all`: house style too, without policies (`LintRule.isPolicy`). */
  readonly preset?: "recommended" | "all" | undefined;
  /** For each rule its severity, `"off"`, or `"on"` for the rule's own severity; wins over the preset. */
  readonly rules?: Readonly<Record<string, LintSeverity | "off" | "on">> | undefined;
  /** For the rule `required-columns`. Default: id, created_at, updated_at. */
  readonly requiredColumns?: readonly string[] | undefined;
  /** For the rule `insert-many-rows`: rows that one INSERT may write. Default: 1,000. */
  readonly maxInsertRows?: number | undefined;
  /** Tables of the catalog with at most so many rows (`reltuples`) are not live: locks on them are short. Default: none. */
  readonly smallTableRows?: number | undefined;
}

export interface LintOptions {
  /** Major version the migrations will run on, 14 to 18. Default: that of `catalog`, else 18. */
  readonly serverVersion?: number | undefined;
  /** What exists before the batch. With it types, constraints and indexes are known, and the answers exact. */
  readonly catalog?: Catalog | undefined;
  /**
   * Files that ran before the batch, in their order: what they made is known and in use. They are not linted. With a catalog they are
   * not needed.
   */
  readonly applied?: readonly LintFile[] | undefined;
  readonly config?: LintConfig | undefined;
  /** Rules of one's own, asked after ours; `config.rules` and ignores name them by their ids. */
  readonly ownRules?: readonly LintRule[] | undefined;
}

export interface LintLock {
  readonly mode: LockMode;
  /** `schema.table`, unquoted. */
  readonly relation: string;
  readonly rewrites: boolean;
  readonly scans: boolean;
}

export interface LintFinding {
  readonly rule: string;
  readonly severity: LintSeverity;
  readonly file: string;
  /** From 1, of the statement's first character; columns in characters. */
  readonly line: number;
  readonly column: number;
  /** The statement's text. */
  readonly statement: string;
  /** What was seen, with names. */
  readonly message: string;
  /** The strongest lock on a table others use; `undefined` when there is none. */
  readonly lock: LintLock | undefined;
  readonly why: string;
  /** The safe form as SQL; what a person has to decide is an SQL comment. */
  readonly rewrite: string;
  /** e.g. `docs/lint.md#set-not-null`. */
  readonly documentation: string;
}

export interface LintReport {
  /** In the order of files and lines. */
  readonly findings: readonly LintFinding[];
  readonly ignored: readonly { readonly finding: LintFinding; readonly reason: string }[];
  /**
   * How many findings `missing-lock-timeout`, `foreign-key-without-index` and `unvalidated-constraint` would give where they are off:
   * what a team settles once, by the role that migrates or by a later file, and most want to hear of once. In no count and no exit code.
   */
  readonly alsoSeen: readonly { readonly rule: string; readonly count: number }[];
  readonly counts: Readonly<Record<LintSeverity, number>>;
  readonly examined: { readonly files: number; readonly statements: number; readonly rules: number };
  readonly serverVersion: number;
  /** Whether a catalog was given: without one, types and constraints made before the batch are not known. */
  readonly hasCatalog: boolean;
  readonly files: readonly {
    readonly name: string;
    readonly tool: RecognisedFile["tool"];
    readonly transaction: RecognisedFile["transaction"];
  }[];
}
