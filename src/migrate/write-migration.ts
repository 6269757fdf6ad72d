// Plans as migration files: number and name, a header that says why and what may happen, the way there, the way back.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CatalogObject, Change } from "../catalog/index.ts";
import { withFileFaults } from "../postgres/file-fault.ts";
import { InvalidInputError } from "../postgres/index.ts";
import { isCodeMigration } from "./code/code-file.ts";
import { idempotentSteps, type NotRepeatable } from "./idempotent/steps.ts";
import { LOCK_LIMIT_SQL } from "./lock-limit.ts";
import { blocksWrites } from "./locks.ts";
import { parseMigration, readMigrations } from "./migration-files.ts";
import type { Plan } from "./plan.ts";
import type { Step } from "./plan-steps.ts";

type PlannedWay = Pick<Plan, "changes" | "steps" | "notCovered">;

export interface MigrationDraft {
  /** What it does, in words or as a name; becomes the snake_case part of the file's name. */
  readonly name: string;
  /** One sentence for the header. Default: what the plan changes. */
  readonly why?: string | undefined;
  /** Where the wanted schema came from, for the header, e.g. `src/db/schema.ts`. */
  readonly from?: string | undefined;
  readonly up: PlannedWay;
  /** The plan of the way back. */
  readonly down: PlannedWay;
  /** Each statement in a form that may run again, or where its object is there already. */
  readonly idempotent?: boolean | undefined;
}

export interface WrittenMigration {
  /** e.g. `0007_add_owner_to_agents.sql`. */
  readonly file: string;
  readonly version: string;
  readonly text: string;
  /** What the header says after `-- irreversible:`. */
  readonly irreversible: string | undefined;
  /** Of an idempotent one: statements for which no such form exists, as they stand in the file. */
  readonly notRepeatable: readonly (NotRepeatable & { readonly direction: "up" | "down" })[];
}

/**
 * Makes the next migration of a folder, without writing it. Versions go on as the folder's do: 0001, 0002 or by the time in UTC
 * (`20260131093000`, seconds or milliseconds since 1970). A new folder counts from 0001.
 *
 * @param at - the time, for folders that count by it
 * @throws InvalidInputError for a name without a letter or digit, for a folder of another tool, and for a plan without steps
 */
export function draftMigration(folder: string, draft: MigrationDraft, at: Date): WrittenMigration {
  if (draft.up.steps.length === 0) throw new InvalidInputError("there is nothing to write: the plan has no steps");
  const versions = versionsIn(folder);
  const version = nextVersion(versions, at);
  const name = migrationName(draft.name);
  const file = `${version}_${name}.sql`;
  const irreversible = irreversibleReason(draft);
  const { ways, notRepeatable } = waysOf(draft);
  const text = migrationText(`${version}_${name}`, { ...draft, ...ways }, irreversible, notRepeatable);
  // What is written is read by marks at the beginning of lines; a function's body that has one would be cut there.
  const marks = [...text.matchAll(/^--\s*migrate:(?:up|down)\b/gm)].length;
  if (marks !== 2) {
    throw new InvalidInputError(`${file} cannot be written: one of its statements has a line that begins like a mark`, {
      hint: 'change the comment that begins with "-- migrate:" in the body of the function or view',
    });
  }
  parseMigration(file, text);
  return { file, version, text, irreversible, notRepeatable };
}

function waysOf({ up, down, idempotent }: MigrationDraft): {
  readonly ways: Pick<MigrationDraft, "up" | "down">;
  readonly notRepeatable: WrittenMigration["notRepeatable"];
} {
  if (idempotent !== true) return { ways: { up, down }, notRepeatable: [] };
  const there = idempotentSteps(up.steps);
  const back = idempotentSteps(down.steps);
  return {
    ways: { up: { ...up, steps: there.steps }, down: { ...down, steps: back.steps } },
    notRepeatable: [
      ...there.notRepeatable.map((statement) => ({ ...statement, direction: "up" as const })),
      ...back.notRepeatable.map((statement) => ({ ...statement, direction: "down" as const })),
    ],
  };
}

/**
 * Writes a migration that draftMigration() made. The folder is made when it is missing; a file is never written over.
 *
 * @returns the file's path
 * @throws InvalidInputError when the folder cannot be written, or the file is there
 */
export function writeMigration(folder: string, { file, text }: WrittenMigration): string {
  withFileFaults(folder, () => mkdirSync(folder, { recursive: true }));
  const path = join(folder, file);
  withFileFaults(path, () => writeFileSync(path, text, { flag: "wx" }));
  return path;
}

/** `Add owner to Agents` and `addOwnerToAgents` → `add_owner_to_agents`. */
export function migrationName(text: string): string {
  const name = text
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "");
  if (name === "") {
    throw new InvalidInputError(`${JSON.stringify(text)} cannot be the name of a migration`, {
      hint: "say what it does: pgsteward migrate generate add_owner_to_agents",
    });
  }
  return name.slice(0, 100);
}

function versionsIn(folder: string): readonly string[] {
  if (!existsSync(folder) || !readdirSync(folder).some((name) => name.endsWith(".sql") || isCodeMigration(name))) {
    const others = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
    if (others.some((name) => name.toLowerCase().endsWith(".sql"))) throw foreignFolder(folder);
    return [];
  }
  try {
    return readMigrations(folder).map(({ version }) => version);
  } catch (error) {
    if (
      error instanceof InvalidInputError &&
      /not named like|has no "-- migrate:up"|is not a migration that pgsteward runs/.test(error.message)
    )
      throw foreignFolder(folder, error);
    throw error;
  }
}

function foreignFolder(folder: string, cause?: InvalidInputError): InvalidInputError {
  return new InvalidInputError(
    `the migrations in ${folder} are of another tool${cause === undefined ? "" : ` (${cause.message})`}`,
    {
      cause,
      hint: "let that tool make the file, with the SQL of: pgsteward diff migrations/ src/db/schema.ts; or write into another folder with --out",
    },
  );
}

const FIRST_VERSION = "0001";

/** The version after those that are there, in their scheme. */
export function nextVersion(versions: readonly string[], at: Date): string {
  const last = versions.toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)).at(-1);
  if (last === undefined) return FIRST_VERSION;
  const byTime: Readonly<Record<number, string>> = {
    14: at.toISOString().replaceAll(/\D/g, "").slice(0, 14),
    13: String(at.getTime()),
    10: String(Math.floor(at.getTime() / 1_000)),
  };
  const now = byTime[last.length] ?? "0";
  const next = String(BigInt(last) + 1n);
  return BigInt(now) > BigInt(last) ? now : next.padStart(last.length, "0");
}

/** Why nothing leads back to what was, as far as rows go; `undefined` when the way back restores all. */
function irreversibleReason({ up, down }: MigrationDraft): string | undefined {
  const reasons = up.steps.flatMap(({ hazards }) =>
    hazards.filter(({ kind }) => kind === "data loss" || kind === "irreversible").map(({ why }) => why),
  );
  const missing = [...up.notCovered, ...down.notCovered].map((change) => `${describeChange(change)} is not planned`);
  const all = [...new Set([...reasons, ...missing].map(oneLine))];
  return all.length === 0 ? undefined : all.join("; ");
}

function migrationText(
  title: string,
  draft: MigrationDraft,
  irreversible: string | undefined,
  notRepeatable: WrittenMigration["notRepeatable"],
): string {
  const { up, down, why, from } = draft;
  const summary = summaryOf(up.changes);
  const header = [
    `-- ${title}${why === undefined ? "" : `: ${oneLine(why)}`}`,
    ...(from === undefined ? [] : [`-- made by pgsteward migrate generate from ${oneLine(from)}`]),
    ...summary.map((line) => `--   ${line}`),
    ...hazardLines(up.steps),
    ...up.notCovered.map((change) => `-- not covered: ${describeChange(change)}`),
    ...(irreversible === undefined ? [] : [`-- irreversible: ${irreversible}`]),
    ...(draft.idempotent === true
      ? repeatLines(notRepeatable.map(({ direction, sql, why }) => ({ sql, why: `${why} (${direction})` })))
      : []),
  ];
  return `${header.join("\n")}\n\n${part("up", up.steps)}\n${part("down", down.steps)}`;
}

/** What a file of idempotent statements says of itself. */
export function repeatLines(notRepeatable: readonly NotRepeatable[]): readonly string[] {
  const but = notRepeatable.length === 0 ? "" : ", but for those that are named here";
  return [
    `-- may run again: each statement does nothing where its work is done${but}. An object of the same name counts as done,`,
    "--   even where it is a different one",
    ...notRepeatable.map(({ sql, why }) => `-- not repeatable: ${shortened(oneLine(sql))}: ${oneLine(why)}`),
  ];
}

function shortened(text: string): string {
  const most = 100;
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

function part(direction: "up" | "down", steps: readonly Step[]): string {
  const isPlain = steps.every(({ inTransaction, transactionGroup }) => inTransaction && transactionGroup === 1);
  const lines = [`-- migrate:${direction}${isPlain ? "" : " transaction:false"}`];
  const limit = withLockLimit(steps);
  const statements = isPlain ? steps.flatMap((step) => [...limit(step), terminated(step.sql)]) : inGroups(steps, limit);
  return `${[...lines, ...statements].join("\n")}\n`;
}

/**
 * For inGroups(): a line before the first statement of each transaction in which one takes a lock that makes others wait, so that it
 * does not wait without an end in psql; after it what `note` says of the step.
 */
export function withLockLimit(
  steps: readonly Step[],
  note?: (step: Step) => readonly string[],
): (step: Step) => readonly string[] {
  const strong = new Set(
    steps
      .filter(({ inTransaction, locks }) => inTransaction && locks.some(({ mode }) => blocksWrites(mode)))
      .map(({ transactionGroup }) => transactionGroup),
  );
  return (step) => [...(strong.delete(step.transactionGroup) ? [`${LOCK_LIMIT_SQL};`] : []), ...(note?.(step) ?? [])];
}

/** Steps as a script: BEGIN and COMMIT around each transaction, what stands outside any between blank lines. */
export function inGroups(steps: readonly Step[], note?: (step: Step) => readonly string[]): readonly string[] {
  const lines: string[] = [];
  let open: number | undefined;
  const close = (): void => {
    if (open !== undefined) lines.push("COMMIT;", "");
    open = undefined;
  };
  for (const step of steps) {
    if (open !== step.transactionGroup) close();
    if (step.inTransaction && open === undefined) {
      lines.push("BEGIN;");
      open = step.transactionGroup;
    }
    lines.push(...(note?.(step) ?? []), terminated(step.sql));
    if (!step.inTransaction) lines.push("");
  }
  close();
  while (lines.at(-1) === "") lines.pop();
  return lines;
}

/** A statement with its semicolon; after a comment in its last line on a line of its own. */
function terminated(sql: string): string {
  const text = sql.trimEnd();
  return text.slice(text.lastIndexOf("\n") + 1).includes("--") ? `${text}\n;` : `${text};`;
}

function hazardLines(steps: readonly Step[]): readonly string[] {
  const lines = steps.flatMap(({ subject, hazards }) =>
    hazards.map(({ kind, why }) => `-- ${kind}: ${oneLine(subject)}: ${oneLine(why)}`),
  );
  return [...new Set(lines)];
}

/** What a plan changes, one line for each verb: `creates table public.users, index public.users.users_email`. */
export function summaryOf(changes: readonly Change[]): readonly string[] {
  const verbs = { create: "creates", alter: "changes", drop: "drops" } as const;
  const byVerb = new Map<string, string[]>();
  const created = new Set(changes.flatMap((change) => (change.kind === "create" ? [change.after.id] : [])));
  const gone = new Set(changes.flatMap((change) => (change.kind === "drop" ? [change.before.id] : [])));
  for (const change of changes) {
    if (change.kind === "unknown") continue;
    const object = change.kind === "drop" ? change.before : change.after;
    const parents = change.kind === "drop" ? gone : created;
    // The parts of what is new, or gone, go without saying.
    if (change.kind !== "alter" && object.parent !== undefined && parents.has(object.parent)) continue;
    const list = byVerb.get(verbs[change.kind]) ?? [];
    list.push(describeObject(object));
    byVerb.set(verbs[change.kind], list);
  }
  const most = 6;
  return [...byVerb].map(([verb, ids]) => {
    const more = ids.length > most ? ` and ${ids.length - most} more` : "";
    return `${verb} ${ids.slice(0, most).join(", ")}${more}`;
  });
}

export function describeChange(change: Change): string {
  if (change.kind === "unknown") {
    const { kind, schema, name } = change.object;
    return `${change.what} ${kind} ${schema === undefined ? "" : `${schema}.`}${name}`;
  }
  return `${change.kind} ${describeObject(change.kind === "drop" ? change.before : change.after)}`;
}

/** An object in words: its id, and for a comment or a list of privileges what it is on. */
export function describeObject(object: CatalogObject): string {
  if (object.kind !== "comment" && object.kind !== "privileges") return oneLine(object.id);
  const column = object.kind === "privileges" && object.facts.column !== undefined ? ` (${object.facts.column})` : "";
  return oneLine(`${object.kind} on ${object.facts.on.replaceAll('"', "")}${column}`);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}
