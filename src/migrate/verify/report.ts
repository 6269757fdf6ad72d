// What verifying migrations finds. Data first: the command line makes text of it.
import type { Change } from "../../catalog/index.ts";
import type { ShadowKind } from "../../postgres/index.ts";
import type { MigrationTool } from "../adopt/tools.ts";
import type { LostData } from "./fingerprints.ts";
import type { UnseededTable } from "./seeds.ts";

/**
 * - `reversible`: up, down and up again ran; the schema came back both times, and no row was lost. An extension or a schema that was
 *   made IF NOT EXISTS may stay
 * - `data lost`: the schema came back, rows or values did not
 * - `irreversible`: the file says so, and why
 * - `no way back`: it applies, and nothing leads back
 * - `not reversible`: its way back fails or leads elsewhere, or it cannot be applied again
 * - `applied`: only that was asked
 * - `failed`: it does not apply
 * - `not examined`: it needs what an earlier one that failed, or an extension that is not there, would have made; or it was not
 *   asked for
 */
export type Verdict =
  | "reversible"
  | "data lost"
  | "irreversible"
  | "no way back"
  | "not reversible"
  | "applied"
  | "failed"
  | "not examined";

export type VerifyRule =
  | "up-fails"
  | "needs-failed"
  | "needs-extension"
  | "up-fails-on-rows"
  | "refused-in-transaction"
  | "down-missing"
  | "down-fails"
  | "down-fails-on-rows"
  | "down-does-not-restore"
  | "down-leaves-shared"
  | "data-not-restored"
  | "up-again-fails"
  | "up-again-differs";

export type VerifySeverity = "error" | "warning" | "info";

export interface VerifyFinding {
  readonly rule: VerifyRule;
  readonly severity: VerifySeverity;
  readonly message: string;
  /** Where the statement stands that failed; lines and columns count from 1. */
  readonly place?: { readonly file: string; readonly line: number; readonly column: number } | undefined;
  readonly sqlState?: string | undefined;
  /** The schema before it against the schema after up and down; for `up-again-differs` after up against after up again. */
  readonly changes?: readonly Change[] | undefined;
  readonly lost?: readonly LostData[] | undefined;
}

export interface VerifiedMigration {
  readonly version: string;
  readonly name: string;
  readonly tool: MigrationTool;
  readonly file: string;
  readonly verdict: Verdict;
  readonly findings: readonly VerifyFinding[];
  /** Whether its way there changes the schema; one that only writes rows does not. */
  readonly changesSchema: boolean;
  /** Why there is no way back, as the file says. */
  readonly irreversible: string | undefined;
  readonly tookMs: number;
}

export interface VerifyReport {
  readonly migrations: readonly VerifiedMigration[];
  readonly examined: {
    /** How many migrations were applied, and of how many the way back too was run. */
    readonly ups: number;
    readonly downs: number;
    /** Tables that got made-up rows, and how many rows. */
    readonly seededTables: number;
    readonly seededRows: number;
    /** Tables that stayed empty: that their rows survive was not examined. */
    readonly unseededTables: readonly UnseededTable[];
  };
  readonly counts: Readonly<Record<VerifySeverity, number>>;
  readonly shadow: { readonly kind: ShadowKind; readonly version: string };
  /** What was left out or made up, one sentence each. */
  readonly notices: readonly string[];
  readonly tookMs: number;
}
