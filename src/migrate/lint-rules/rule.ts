// What a lint rule is: a pure function of one action of one statement and of what is known before it.
import type { BatchState, TableState } from "../batch-state.ts";
import type { PlacedStatement, RecognisedFile } from "../lint-files.ts";
import type { LockEffect, LockMode } from "../locks.ts";
import type { Action, Name } from "../syntax.ts";

export type LintSeverity = "error" | "warning" | "info";

/** What the transaction of a statement has done before it. */
export interface TransactionState {
  /** Locks on tables that others use, in the order they were taken. */
  readonly held: { readonly table: TableState; readonly mode: LockMode; readonly by: string }[];
  /** Enum values added in it. */
  readonly addedEnumValues: Set<string>;
  /** Tables referenced by foreign keys added in it. */
  readonly referencedTables: Set<TableState>;
}

export interface RuleContext extends PlacedStatement {
  readonly action: Action;
  readonly state: BatchState;
  /** Major version of the server. */
  readonly version: number;
  /** `server_version_num`, e.g. 140003, where a server told it. */
  readonly exactVersion: number | undefined;
  /** Locks of the action on tables that others use. */
  readonly effects: readonly LockEffect[];
  readonly before: TransactionState | undefined;
  readonly tool: RecognisedFile["tool"];
  /** Actions of the statements after this one, in the whole batch. */
  readonly later: () => readonly Action[];
  /** Actions of the statements before this one, in the whole batch. */
  readonly earlier: () => readonly Action[];
  /** Columns that every table has to have, where the configuration says. */
  readonly requiredColumns: readonly string[] | undefined;
  /** Rows that one INSERT may write, where the configuration says. */
  readonly maxInsertRows: number | undefined;
  /** Whether others use the table: not made by the batch, not small by the caller's option. */
  readonly isLive: (table: Name | TableState | undefined) => boolean;
}

export interface RuleMatch {
  /** What was seen, with names. */
  readonly message: string;
  /** The safe form as SQL, or a sentence as an SQL comment. */
  readonly rewrite: string;
  readonly severity?: LintSeverity | undefined;
}

export interface LintRule {
  /** Kebab-case; named in ignores and in the configuration. */
  readonly id: string;
  readonly title: string;
  /** Kinds of actions it looks at (`Action.kind`); without it, all. */
  readonly on?: readonly string[] | undefined;
  readonly severity: LintSeverity;
  /** On without being asked for; the others are matters of house style. */
  readonly isRecommended: boolean;
  /** Forbids what others take for granted: no preset has it, it is asked for by its id. */
  readonly isPolicy?: boolean | undefined;
  readonly why: string;
  /** An example that it reports, and one that does the same without harm. */
  readonly bad: string;
  readonly good: string;
  check(context: RuleContext): RuleMatch | readonly RuleMatch[] | undefined;
}

export const defineLintRule = (rule: LintRule): LintRule => rule;
