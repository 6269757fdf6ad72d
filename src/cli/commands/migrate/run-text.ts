// What a run of migrations says: its progress on stderr, its result as text, and both for many tenants.
import type {
  MigrationEvent,
  MigrationRun,
  PlannedMigration,
  TenantOutcome,
  TenantReport,
} from "../../../migrate/index.ts";
import type { LockHolder } from "../../../postgres/index.ts";
import { counted } from "../../counts-text.ts";
import { alignColumns, printable, type Output } from "../../output.ts";
import type { Targets } from "./run-flags.ts";

/** A statement that took at least so long gets a line of its own. */
const LONG_STATEMENT_MS = 1_000;

/** Prints what is worth telling of a run's events, each with `prefix` before it. */
export function eventNotes(output: Output, prefix = ""): (event: MigrationEvent) => void {
  let lastWait = "";
  return (event) => {
    const text = eventText(event);
    // A wait is told several times a second.
    const isWait = event.kind === "waitingForRunner" || event.kind === "waitingForReplicas";
    if (text === undefined || (isWait && lastWait === event.kind)) return;
    lastWait = isWait ? event.kind : "";
    output.note(prefix + printable(text));
  };
}

function eventText(event: MigrationEvent): string | undefined {
  switch (event.kind) {
    case "waitingForRunner":
      return `another run goes on; waiting for ${holdersText(event.holders)}`;
    case "migrationStarted": {
      const { direction, version, name, position, statements } = event;
      const from = position === 0 ? "" : `, goes on after statement ${position} of ${statements}`;
      return `${direction} ${version}_${name}${from}`;
    }
    case "statementDone":
      if (event.tookMs < LONG_STATEMENT_MS) return undefined;
      return `  statement ${event.statement} of ${event.statements}, line ${event.line}: ${durationText(event.tookMs)}`;
    case "blocked":
      return `  line ${event.line} waits for ${holdersText(event.holders)}`;
    case "lockRetry": {
      const held = event.holders.length === 0 ? "" : `, held by ${holdersText(event.holders)}`;
      return `  line ${event.line}: ${event.reason}${held}; try ${event.attempt + 1} of ${event.attempts} in ${durationText(event.waitMs)}`;
    }
    case "recovered":
      return `  line ${event.line}: ${event.what}`;
    case "waitingForReplicas":
      return `  waiting for replicas: ${event.behind.map(({ name, behindBytes }) => `${name} is ${behindBytes} bytes behind`).join(", ")}`;
    case "migrationDone":
      return `  done in ${durationText(event.durationMs)}`;
    case "statementStarted":
    case "groupDone":
      return undefined;
  }
}

function holdersText(holders: readonly LockHolder[]): string {
  const texts = holders.map(({ pid, application, role, state }) =>
    [`process ${pid}`, application, role, state].filter((part) => part !== undefined).join(", "),
  );
  return texts.length === 0 ? "a process that cannot be seen" : texts.join(" and ");
}

export function durationText(ms: number): string {
  return ms < LONG_STATEMENT_MS ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

const BAR_WIDTH = 20;

/** e.g. `[#########-----------] 12/27 tenant_12: done in 34 ms`. */
export function tenantNote(tenant: string, outcome: TenantOutcome<unknown>, ended: number, total: number): string {
  const filled = Math.floor((ended / total) * BAR_WIDTH);
  const bar = "#".repeat(filled) + "-".repeat(BAR_WIDTH - filled);
  const result =
    outcome.kind === "done"
      ? `done in ${durationText(outcome.durationMs)}`
      : outcome.kind === "failed"
        ? `failed: ${outcome.error.message.split("\n", 1)[0] ?? ""}`
        : "not run";
  return `[${bar}] ${String(ended).padStart(String(total).length)}/${total} ${printable(`${tenant}: ${result}`)}`;
}

export function runText({ done, appliedBefore }: MigrationRun): string {
  if (done.length === 0)
    return `nothing to do: ${counted(appliedBefore, "migration")} ${appliedBefore === 1 ? "is" : "are"} applied`;
  return alignColumns(
    done.map(({ direction, version, name, durationMs }) => [
      direction,
      `${version}_${printable(name)}`,
      durationText(durationMs),
    ]),
  );
}

/** What a run would do, as SQL with its transactions. */
export function plannedText(planned: readonly PlannedMigration[]): string {
  if (planned.length === 0) return "-- nothing to do";
  return planned
    .map(({ direction, file, position, groups }) => {
      const from = position === 0 ? "" : `, after the ${position} statements that are done`;
      const parts = groups.map(({ inTransaction, statements }) => {
        const sql = statements.map((statement) => `${statement.sql};`).join("\n");
        return inTransaction ? `BEGIN;\n${sql}\nCOMMIT;` : sql;
      });
      return [`-- ${direction} ${file}${from}`, ...parts].join("\n");
    })
    .join("\n\n");
}

/** Prints the result of one database or of all tenants; returns the exit code: 1 when a tenant failed or was not run. */
export function printTargets<T>(output: Output, targets: Targets<T>, text: (result: T) => string): number {
  if (targets.kind === "one") {
    output.result(targets.result, () => text(targets.result));
    return 0;
  }
  const { reports } = targets;
  const count = (kind: TenantOutcome<T>["kind"]): number =>
    reports.filter(({ outcome }) => outcome.kind === kind).length;
  const counts = { done: count("done"), failed: count("failed"), notRun: count("notRun") };
  output.result({ counts, tenants: reports.map(tenantData) }, () =>
    [
      ...reports.map(({ tenant, outcome }) => tenantText(output, tenant, outcome, text)),
      "",
      `${reports.length} tenants: ${counts.done} done, ${counts.failed} failed, ${counts.notRun} not run`,
    ].join("\n"),
  );
  return counts.failed + counts.notRun === 0 ? 0 : 1;
}

function tenantData<T>({ tenant, outcome }: TenantReport<T>): unknown {
  if (outcome.kind !== "failed") return { tenant, outcome };
  const { code, message, hint } = outcome.error;
  return { tenant, outcome: { ...outcome, error: { code, message, hint } } };
}

function tenantText<T>(
  { paint }: Output,
  tenant: string,
  outcome: TenantOutcome<T>,
  text: (result: T) => string,
): string {
  const indent = (lines: string): string => lines.replaceAll(/^/gm, "  ");
  const title = paint("bold", printable(tenant));
  if (outcome.kind === "done") return `${title}\n${indent(text(outcome.result))}`;
  if (outcome.kind === "notRun") return `${title}\n  not run`;
  const { code, message, hint } = outcome.error;
  const lines = [
    `${paint("red", code)} ${printable(message)}`,
    ...(hint === undefined ? [] : [`hint: ${printable(hint)}`]),
  ];
  return `${title}\n${indent(lines.join("\n"))}`;
}
