// A plan as a table for people: what each step does, in which transaction, what it locks and for how long.
import { durationText, type Plan, type PlanEstimate, type Step } from "../migrate/index.ts";
import { alignColumns, printable, type Paint } from "./output.ts";

export interface PlanTableView {
  readonly plan: Pick<Plan, "steps">;
  /** `undefined`: no database was there to take sizes from. */
  readonly estimate: PlanEstimate | undefined;
  /** By step, e.g. times of a rehearsal; in a column of its own. */
  readonly measured?: readonly string[] | undefined;
  readonly paint: Paint;
}

const STATEMENT_WIDTH = 72;

export function renderPlanTable({ plan, estimate, measured, paint }: PlanTableView): string {
  const head = [
    "step",
    "tx",
    "statement",
    "lock",
    "table",
    "rows",
    "size",
    "reads",
    "held",
    ...(measured === undefined ? [] : ["rehearsed"]),
  ];
  const rows = plan.steps.flatMap((step, index) => stepRows(step, index, estimate, measured));
  const table = alignColumns([head, ...rows].map((row) => row.map(printable)));
  const [first = "", ...lines] = table.split("\n");
  const hazards = plan.steps.flatMap(({ hazards: found }, index) =>
    found.map(({ kind, why }) => `  step ${index + 1}, ${kind}: ${printable(why)}`),
  );
  const blocks = [[paint("bold", first), ...lines].join("\n")];
  if (hazards.length > 0) blocks.push([paint("bold", "Hazards"), ...hazards].join("\n"));
  if (estimate !== undefined && estimate.warnings.length > 0)
    blocks.push(estimate.warnings.map((line) => paint("yellow", `warning: ${printable(line)}`)).join("\n"));
  if (estimate !== undefined) blocks.push(paint("dim", `Assumed: ${estimate.assumptions.join("; ")}.`));
  return blocks.join("\n\n");
}

function stepRows(
  step: Step,
  index: number,
  estimate: PlanEstimate | undefined,
  measured: readonly string[] | undefined,
): readonly (readonly string[])[] {
  const group = step.inTransaction ? String(step.transactionGroup) : "none";
  const locks =
    estimate?.steps[index]?.locks ??
    step.locks.map((lock) => ({ ...lock, rows: undefined, bytes: undefined, heldMs: undefined }));
  const about = [String(index + 1), group, shortened(step.sql)];
  const last = measured === undefined ? [] : [measured[index] ?? ""];
  if (locks.length === 0) return [[...about, "", "", "", "", "", "", ...last]];
  return locks.map(({ relation, mode, rows, bytes, rewrite, scan, heldMs }, position) => [
    ...(position === 0 ? about : ["", "", ""]),
    mode,
    relation.replaceAll('"', ""),
    rows === undefined ? "?" : countText(rows),
    bytes === undefined ? "?" : sizeText(bytes),
    rewrite ? "rewrite" : scan ? "scan" : "",
    heldMs === undefined ? "?" : durationText(heldMs),
    ...(position === 0 ? last : []),
  ]);
}

function shortened(sql: string): string {
  const line = sql.replaceAll(/\s+/g, " ").replaceAll('"', "").trim();
  return line.length <= STATEMENT_WIDTH ? line : `${line.slice(0, STATEMENT_WIDTH - 1)}…`;
}

function countText(rows: number): string {
  return Math.round(rows).toLocaleString("en-US");
}

function sizeText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ""}`;
}
