// Whether the models and the migrations of a project say the same, as findings of the check: nobody changes one without the other.
import { relative, resolve } from "node:path";
import type { CheckReport, Finding, Subject } from "../advise/index.ts";
import type { CatalogObject } from "../catalog/index.ts";
import { describeObject, planMigration, readSources, type Plan } from "../migrate/index.ts";
import { presentSource } from "./commands/migrate/generate.ts";
import type { CommandContext, CommandSettings } from "./context.ts";
import { modelsOf } from "./sources.ts";

const RULE = "models-and-migrations-differ";
const TITLE = "Models and migrations differ";

/** Adds to a report what the models say and the migrations do not make, or the reverse. Where the settings do not name both: nothing. */
export async function withOwnedModels(
  context: CommandContext,
  { settings, ...rest }: CommandSettings,
  report: CheckReport,
): Promise<CheckReport> {
  const { models, migrations } = settings;
  if (models.length === 0 || migrations === undefined) return report;
  const folder = resolve(context.cwd, migrations);
  const wanted = modelsOf(context, { settings, ...rest }, models);
  const { from, to } = await readSources(presentSource(folder), wanted, { signal: context.signal });
  const shown = { models: models.join(", "), migrations: relative(context.cwd, folder) || "." };
  const plan = planMigration(from.catalog, to.catalog);
  const findings = findingsOf(plan, shown, to.catalog.tables.length);
  return {
    ...report,
    findings: [...findings, ...report.findings],
    rules: [
      ...report.rules,
      {
        rule: RULE,
        title: TITLE,
        severity: "error",
        examines: "tables of the models",
        examined: to.catalog.tables.length,
        findings: findings.length,
        note: undefined,
      },
    ],
    counts: { ...report.counts, error: report.counts.error + findings.length },
  };
}

function findingsOf(
  { changes, steps }: Plan,
  shown: { readonly models: string; readonly migrations: string },
  tables: number,
): readonly Finding[] {
  const created = new Set(changes.flatMap((change) => (change.kind === "create" ? [change.after.id] : [])));
  const dropped = new Set(changes.flatMap((change) => (change.kind === "drop" ? [change.before.id] : [])));
  return changes.flatMap((change): readonly Finding[] => {
    if (change.kind === "unknown") return [];
    const object = change.kind === "drop" ? change.before : change.after;
    const parents = change.kind === "drop" ? dropped : created;
    // A new table is one finding, and not one for each of its columns.
    if (change.kind !== "alter" && object.parent !== undefined && parents.has(object.parent)) return [];
    const facts = change.kind === "alter" ? ` (${change.facts.map(({ fact }) => fact).join(", ")})` : "";
    const name = describeObject(object);
    const message = {
      create: `${name} is in the models and in no migration`,
      drop: `${name} is made by the migrations and is not in the models`,
      alter: `${name} is another in the models than the migrations make it${facts}`,
    }[change.kind];
    const own = steps.filter(({ subject }) => subject === object.id).map(({ sql }) => `${sql};`);
    return [
      {
        rule: RULE,
        severity: "error",
        subject: subjectOf(object),
        columns: [],
        message,
        examined: `${tables} ${tables === 1 ? "table" : "tables"} of ${shown.models} and the migrations in ${shown.migrations}`,
        why: "What runs is what the migrations make; code that trusts the models reads and writes something else.",
        fix: {
          description: "write the migration: pgsteward migrate generate <name>; or take the change out of the models",
          sql: own.length === 0 ? undefined : own.join("\n"),
        },
        documentation: "docs/guide/migrations.md#models-are-owned",
      },
    ];
  });
}

const KINDS: ReadonlySet<string> = new Set<Subject["kind"]>([
  "table",
  "column",
  "constraint",
  "index",
  "policy",
  "view",
  "function",
  "sequence",
  "schema",
  "trigger",
]);
const OF_COLUMN: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>(["default"]);
const TYPES: ReadonlySet<CatalogObject["kind"]> = new Set<CatalogObject["kind"]>([
  "enum",
  "domain",
  "composite",
  "range",
]);

function subjectOf({ kind, schema, name, part }: CatalogObject): Subject {
  const place = schema ?? name;
  if (TYPES.has(kind)) return { kind: "type", schema: place, name };
  const known = KINDS.has(kind) ? (kind as Subject["kind"]) : OF_COLUMN.has(kind) ? "column" : "table";
  if (part === undefined || kind === "function") return { kind: known, schema: place, name };
  return { kind: known, schema: place, table: name, name: part };
}
