// What reads a column and would hold on to it when another takes its place: views and what stands on them, statistics objects, policies
// of other tables, functions with an SQL body. In the words they have they are made anew once the name means the other column.
import type { Catalog, Function, ObjectReference, Policy, Statistics, Table, View } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { planMigration } from "../plan.ts";

export interface Dependants {
  /** Views that read the column, and views that read those. */
  readonly views: readonly View[];
  readonly statistics: readonly Statistics[];
  /** Of other tables. */
  readonly policies: readonly { readonly schema: string; readonly table: string; readonly policy: Policy }[];
  /** What stands in the way, e.g. `materialized view shop.sums`. */
  readonly obstacles: readonly string[];
  /** Before the names are exchanged. */
  readonly drop: readonly string[];
  /** After that. */
  readonly create: readonly string[];
}

/** Objects of the table itself that are dealt with one by one. */
const OWN_PARTS: ReadonlySet<string> = new Set(["constraint", "index", "default", "trigger", "policy", "sequence"]);
/** Parts of a view that go and come with it. */
const VIEW_PARTS: ReadonlySet<string> = new Set(["default", "trigger", "rule"]);

export function dependantsOf(catalog: Catalog, table: Table, column: string): Dependants {
  const views = new Map<string, View>();
  const statistics: Statistics[] = [];
  const policies: Dependants["policies"][number][] = [];
  const functions: Function[] = [];
  const obstacles = new Set<string>();
  const isOwn = ({ schema, name }: ObjectReference): boolean => schema === table.schema && name === table.name;
  const take = (from: ObjectReference, isDirect: boolean): void => {
    const is = ({ schema, name }: { readonly schema: string; readonly name: string }): boolean =>
      schema === from.schema && name === from.name;
    if (from.kind === "view") {
      const view = catalog.views.find(is);
      if (view?.kind === "view" && view.extension === undefined) takeView(view);
      else obstacles.add(described(from, view?.kind));
      return;
    }
    if (isDirect && from.kind === "statistics") {
      const found = catalog.statistics.find(is);
      if (found !== undefined) return void statistics.push(found);
    }
    if (isDirect && from.kind === "policy") {
      const policy = catalog.tables.find(is)?.policies.find(({ name }) => name === from.part);
      if (policy !== undefined) return void policies.push({ schema: from.schema ?? "", table: from.name, policy });
    }
    if (isDirect && from.kind === "function") {
      const found = catalog.functions.find((candidate) => is(candidate) && candidate.arguments === from.part);
      if (found?.definition !== undefined) return void functions.push(found);
    }
    obstacles.add(described(from));
  };
  const takeView = (view: View): void => {
    const key = identifier(view.schema, view.name);
    if (views.has(key)) return;
    views.set(key, view);
    const isIt = ({ schema, name }: ObjectReference): boolean => schema === view.schema && name === view.name;
    for (const { from, to } of catalog.dependencies)
      if (isIt(to) && !(isIt(from) && VIEW_PARTS.has(from.kind))) take(from, false);
  };
  for (const { from, to } of catalog.dependencies) {
    if (to.kind !== "column" || to.part !== column || !isOwn(to)) continue;
    // Foreign keys of other tables, and the sequence it owns.
    const isElsewhere = from.kind === "constraint" || from.kind === "sequence";
    if (!isElsewhere && !(isOwn(from) && OWN_PARTS.has(from.kind))) take(from, true);
  }
  const without = withoutObjects(catalog, [...views.values()], statistics);
  const hasObjects = views.size + statistics.length > 0 && obstacles.size === 0;
  const stepsOf = (before: Catalog, after: Catalog): readonly string[] =>
    hasObjects ? planMigration(before, after).steps.map(({ sql }) => sql) : [];
  return {
    views: [...views.values()],
    statistics,
    policies,
    obstacles: [...obstacles].sort(),
    drop: stepsOf(catalog, without),
    create: [
      ...stepsOf(without, catalog),
      // Whoever runs this may be another than their owner, with whose rights a view reads.
      ...[...views.values()].map(
        ({ schema, name, owner }) => `ALTER VIEW ${identifier(schema, name)} OWNER TO ${identifier(owner)}`,
      ),
      ...statistics.map(
        ({ schema, name, owner }) => `ALTER STATISTICS ${identifier(schema, name)} OWNER TO ${identifier(owner)}`,
      ),
      ...functions.flatMap(({ definition }) => definition ?? []),
    ],
  };
}

function withoutObjects(catalog: Catalog, views: readonly View[], statistics: readonly Statistics[]): Catalog {
  const isView = (schema: string | undefined, name: string): boolean =>
    views.some((view) => view.schema === schema && view.name === name);
  return {
    ...catalog,
    views: catalog.views.filter((view) => !views.includes(view)),
    statistics: catalog.statistics.filter((object) => !statistics.includes(object)),
    grants: catalog.grants.filter(({ objectKind, schema, object }) => {
      if (objectKind === "table") return !isView(schema, object);
      return (
        objectKind !== "column" || !views.some((view) => view.schema === schema && object.startsWith(`${view.name}.`))
      );
    }),
  };
}

function described({ kind, schema, name, part }: ObjectReference, shown: string = kind): string {
  if (kind === "function") return `function ${schema ?? ""}.${name}(${part ?? ""})`;
  return `${shown} ${[schema, name, part].filter((word) => word !== undefined).join(".")}`;
}

/** Functions whose text says a name, and perhaps means the column: the server keeps no record of that. */
export function functionsNaming(catalog: Catalog, table: Table, column: string): readonly string[] {
  // A body ends with $function$, right after its last word.
  const says = (text: string, word: string): boolean =>
    new RegExp(String.raw`(?<![\p{L}\p{N}_])${escaped(word)}(?![\p{L}\p{N}_])`, "iu").test(text);
  const isTrigger = ({ schema, name }: Function): boolean =>
    table.triggers.some(({ functionSchema, functionName }) => functionSchema === schema && functionName === name);
  return catalog.functions
    .filter((candidate) => {
      const { definition, extension } = candidate;
      if (definition === undefined || extension !== undefined || !says(definition, column)) return false;
      return isTrigger(candidate) || says(definition, table.name);
    })
    .map(({ schema, name, arguments: types }) => `${schema}.${name}(${types})`);
}

function escaped(word: string): string {
  return word.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
}
