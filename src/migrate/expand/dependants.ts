// What reads a column and would hold on to it when another takes its place: views and what stands on them, statistics objects, policies
// of other tables, functions with an SQL body. In the words they have they are made anew once the name means the other column.
import type {
  Catalog,
  Column,
  Function,
  ObjectReference,
  Policy,
  Statistics,
  Table,
  View,
} from "../../catalog/index.ts";
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
  /** What reads rows, and so waits until others may use the table again. */
  readonly validate: readonly string[];
}

/** Objects of the table itself that are dealt with one by one. */
const OWN_PARTS: ReadonlySet<string> = new Set(["constraint", "index", "default", "trigger", "policy", "sequence"]);
const VALIDATES = /^ALTER TABLE .* VALIDATE CONSTRAINT /;
/** Parts of a view that go and come with it. */
const VIEW_PARTS: ReadonlySet<string> = new Set(["default", "trigger", "rule"]);

/** @param columns - that go over together: those among them that are generated from others are no obstacles */
export function dependantsOf(catalog: Catalog, table: Table, columns: readonly string[]): Dependants {
  const views = new Map<string, View>();
  const statistics: Statistics[] = [];
  const policies: Dependants["policies"][number][] = [];
  const functions: Function[] = [];
  const virtual = new Set<Column>();
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
    if (isDirect && from.kind === "column" && isOwn(from)) {
      const found = table.columns.find(({ name }) => name === from.part);
      if (found?.generated?.kind === "virtual") return void virtual.add(found);
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
    if (to.kind !== "column" || !columns.includes(to.part ?? "") || !isOwn(to)) continue;
    if (from.kind === "column" && isOwn(from) && columns.includes(from.part ?? "")) continue;
    // Foreign keys of other tables, and the sequence it owns.
    const isElsewhere = from.kind === "constraint" || from.kind === "sequence";
    if (!isElsewhere && !(isOwn(from) && OWN_PARTS.has(from.kind))) take(from, true);
  }
  // What reads a virtual column goes with it.
  const columnsGone = [...virtual].map(({ name }) => name);
  for (const { from, to } of catalog.dependencies) {
    const isRead = to.kind === "column" && isOwn(to) && columnsGone.includes(to.part ?? "");
    if (isRead && !(isOwn(from) && OWN_PARTS.has(from.kind))) take(from, true);
  }
  const objects = { views: [...views.values()], statistics: [...new Set(statistics)], table, columns: [...virtual] };
  const without = withoutObjects(catalog, objects);
  const hasObjects = views.size + statistics.length + virtual.size > 0 && obstacles.size === 0;
  const stepsOf = (before: Catalog, after: Catalog): readonly string[] =>
    hasObjects ? planMigration(before, after).steps.map(({ sql }) => sql) : [];
  const back = stepsOf(without, catalog);
  return {
    views: [...views.values()],
    statistics,
    policies,
    obstacles: [...obstacles].sort(),
    drop: stepsOf(catalog, without),
    validate: back.filter((sql) => VALIDATES.test(sql)),
    create: [
      ...back.filter((sql) => !VALIDATES.test(sql)),
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

interface Objects {
  readonly views: readonly View[];
  readonly statistics: readonly Statistics[];
  readonly table: Table;
  /** Generated ones that are not stored. */
  readonly columns: readonly Column[];
}

function withoutObjects(catalog: Catalog, { views, statistics, table, columns }: Objects): Catalog {
  const isGone = (name: string): boolean => columns.some((column) => column.name === name);
  const isView = (schema: string | undefined, name: string): boolean =>
    views.some((view) => view.schema === schema && view.name === name);
  return {
    ...catalog,
    tables: catalog.tables.map((other) =>
      other !== table || columns.length === 0
        ? other
        : {
            ...table,
            columns: table.columns.filter((column) => !columns.includes(column)),
            constraints: table.constraints.filter((constraint) => !constraint.columns.some(isGone)),
          },
    ),
    views: catalog.views.filter((view) => !views.includes(view)),
    statistics: catalog.statistics.filter((object) => !statistics.includes(object)),
    grants: catalog.grants.filter(({ objectKind, schema, object }) => {
      if (objectKind === "table") return !isView(schema, object);
      if (schema === table.schema && columns.some(({ name }) => object === `${table.name}.${name}`))
        return objectKind !== "column";
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
