// How a column is altered: type, NOT NULL, identity, generation, storage.
import {
  alterTable,
  collate,
  identityClause,
  identitySettings,
  onlyOf,
  optionList,
  passesNotNullDown,
  foreignOptions,
  literal,
  objectId,
  partOf,
  storageWord,
  type CatalogObject,
  type CatalogObjects,
  type FactsOfKind,
  type SequenceFacts,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { nullability } from "./not-null.ts";
import {
  inPlace,
  setToHighest,
  statement,
  type Alteration,
  type PlannedStatement,
  type RuleContext,
} from "./statement.ts";

type Column = CatalogObject<"column">;

/** First server that can do it. */
const SET_EXPRESSION_VERSION = 170000;

export function alterColumn(before: Column, after: Column, context: RuleContext): Alteration {
  const old = before.facts;
  const wanted = after.facts;
  const table = context.after.get(after.parent ?? "");
  const start = alterTable(table, after);
  const column = partOf(after);
  const isForeign = table?.kind === "table" && table.facts.kind === "foreign";
  // What the parent's own change brings down to a child needs no statement.
  const inherited = inheritedChange(before, after, context);
  const typeChanged = old.type !== wanted.type || old.collation !== wanted.collation;
  if (needsNewColumn(old, wanted, typeChanged, context.serverVersion)) return "recreate";

  const statements: PlannedStatement[] = [];
  const alter = (action: string): unknown => statements.push(statement(`${start} ALTER COLUMN ${column} ${action}`));
  if (old.generated !== undefined && wanted.generated === undefined) alter("DROP EXPRESSION");
  if (old.identity !== undefined && wanted.identity === undefined) alter("DROP IDENTITY");
  if (typeChanged && !inherited.has("type")) {
    const isPlain = isForeign || wanted.generated !== undefined || isTextToText(old.type, wanted.type);
    const using = isPlain ? "" : ` USING ${conversion(column, old.type, wanted.type)}`;
    const lost = lostBetween(old.type, wanted.type);
    statements.push(
      statement(`${start} ALTER COLUMN ${column} TYPE ${wanted.type}${collate(wanted.collation)}${using}`, [
        { kind: "rewrite", why: `${old.type} to ${wanted.type}: the table may be rewritten while it is locked` },
        ...(isNarrower(old.type, wanted.type)
          ? [{ kind: "may fail" as const, why: "a value may not fit the new type" }]
          : []),
        ...(lost === undefined
          ? []
          : [{ kind: "data loss" as const, why: `${lost} of ${after.schema}.${after.name}.${after.part} is gone` }]),
      ]),
    );
  }
  if (
    wanted.generated !== undefined &&
    old.generated !== undefined &&
    wanted.generated.expression !== old.generated.expression
  ) {
    alter(`SET EXPRESSION AS (${wanted.generated.expression})`);
  }
  const settings = settingStatements(old, wanted, column, context.serverVersion);
  if (settings.length > 0) {
    const only = onlyOf(table);
    statements.push(statement(`${alterTable(table, after, only)} ${settings.join(", ")}`));
  }
  if (!inherited.has("isNullable")) statements.push(...nullability(before, after, context));
  statements.push(...identityStatements(before, after, start, column));
  return inPlace(statements, typeChanged ? [after.id] : []);
}

function inheritedChange(before: Column, after: Column, context: RuleContext): ReadonlySet<string> {
  const parent = parentColumn(after, context.after);
  if (parent === undefined || parent !== parentColumn(before, context.before)) return new Set();
  const partition = objectId("partition", after.schema, after.name);
  // An heir that becomes a partition, or the other way round, stands alone in between.
  if (context.isDetached?.(after) === true || context.before.has(partition) !== context.after.has(partition))
    return new Set();
  const oldParent = context.before.get(parent);
  const newParent = context.after.get(parent);
  if (oldParent?.kind !== "column" || newParent?.kind !== "column") return new Set();
  const facts: string[] = [];
  const typeOf = ({ facts: { type, collation } }: Column): string => `${type}${collate(collation)}`;
  if (typeOf(oldParent) !== typeOf(newParent) && typeOf(newParent) === typeOf(after)) facts.push("type");
  const isComing = !passesNotNullDown(oldParent) && passesNotNullDown(newParent) && !after.facts.isNullable;
  if (isComing && before.facts.isNullable) facts.push("isNullable");
  if (passesNotNullDown(oldParent) && newParent.facts.isNullable && after.facts.isNullable) facts.push("isNullable");
  return new Set(facts);
}

/** The same column of a parent table, also of one that the child has for itself too. */
function parentColumn(column: Column, objects: CatalogObjects): string | undefined {
  if (column.inheritedFrom !== undefined) return column.inheritedFrom;
  const table = objects.get(column.parent ?? "");
  const parents = table?.kind === "table" ? table.facts.inherits : [];
  return parents.map(({ schema, name }) => objectId("column", schema, name, column.part)).find((id) => objects.has(id));
}

function needsNewColumn(
  old: FactsOfKind["column"],
  wanted: FactsOfKind["column"],
  typeChanged: boolean,
  serverVersion: number,
): boolean {
  if (old.generated === undefined) return wanted.generated !== undefined;
  if (wanted.generated === undefined) return old.generated.kind === "virtual";
  if (old.generated.kind !== wanted.generated.kind) return true;
  return (
    typeChanged || (old.generated.expression !== wanted.generated.expression && serverVersion < SET_EXPRESSION_VERSION)
  );
}

const TEXTS = /^(?:text|character varying|character|name|citext|"char")\b/;
const FAMILIES: readonly RegExp[] = [
  TEXTS,
  /^(?:smallint|integer|bigint|numeric|real|double precision|money)\b/,
  /^(?:date|time|timestamp|interval)\b/,
  /^jsonb?\b/,
  /^(?:inet|cidr)\b/,
  /^bit\b/,
];
const WORD_PAIRS = new Set([
  "integer boolean",
  "boolean integer",
  "integer bit",
  "integer oid",
  "bigint oid",
  "oid bigint",
  "oid integer",
]);

/** Without USING a value that is too long is an error; a cast that is written would cut it. */
function isTextToText(from: string, to: string): boolean {
  return TEXTS.test(from) && /^(?:text|character)\b/.test(to) && !from.endsWith("[]") && !to.endsWith("[]");
}

/** What a value of the old type says and one of the new type cannot; what does not fit at all is an error. */
function lostBetween(from: string, to: string): string | undefined {
  const scale = (type: string): number =>
    Number(/^numeric\(\d+,(-?\d+)\)/.exec(type)?.[1] ?? (type.startsWith("numeric(") ? 0 : Infinity));
  const isWhole = /^(?:smallint|integer|bigint)$/.test(to);
  if (/^numeric\b/.test(from) && (isWhole ? scale(from) > 0 : to.startsWith("numeric(") && scale(to) < scale(from)))
    return isWhole ? "what follows the decimal point" : `what follows the ${scale(to)} decimal places`;
  if (/^(?:real|double precision)$/.test(from) && (isWhole || to.startsWith("numeric("))) return "what is rounded away";
  if (from === "double precision" && to === "real") return "precision beyond six digits";
  if (from.startsWith("timestamp") && to === "date") return "the time of day";
  if (from.startsWith("timestamp") && /^time\b/.test(to)) return "the date";
  const fraction = (type: string): number => Number(/\((\d)\)/.exec(type)?.[1] ?? 6);
  const isTime = /^(?:time|timestamp)\b/.test(from) && from.replace(/\(\d\)/, "") === to.replace(/\(\d\)/, "");
  return isTime && fraction(to) < fraction(from)
    ? `what follows the ${fraction(to)} decimal places of a second`
    : undefined;
}

/** Through text where the server has no cast of its own between two types. */
function conversion(column: string, from: string, to: string): string {
  const base = (type: string): string =>
    type
      .replace(/\(.*?\)/g, "")
      .replace(/\s+/g, " ")
      .trim();
  const [isArray, toArray] = [from.endsWith("[]"), to.endsWith("[]")];
  const fromBase = base(from).replace(/\[\]$/, "");
  const toBase = base(to).replace(/\[\]$/, "");
  if (!isArray && toArray && !TEXTS.test(fromBase)) {
    const element = conversion(column, from, to.slice(0, -2));
    return `CASE WHEN ${column} IS NOT NULL THEN ARRAY[${element}] END`;
  }
  // An array becomes one value only where it is none, or the text of one: nothing is lost in silence.
  if (isArray && !toArray && !TEXTS.test(toBase)) return `${column}::text::${to}`;
  const isDirect =
    fromBase === toBase ||
    TEXTS.test(fromBase) ||
    TEXTS.test(toBase) ||
    WORD_PAIRS.has(`${fromBase} ${toBase}`) ||
    FAMILIES.some((family) => family.test(fromBase) && family.test(toBase));
  // The server casts the rest of the way itself, and refuses what is too long.
  if (/^character\b/.test(to) && !to.endsWith("[]")) return `${column}::text`;
  return isDirect ? `${column}::${to}` : `${column}::text::${to}`;
}

/** Whether a value of the old type may be too much for the new one. */
function isNarrower(from: string, to: string): boolean {
  if (/^text\b/.test(to)) return false;
  const length = (type: string): number => Number(/\((\d+)/.exec(type)?.[1] ?? Infinity);
  const order = ["smallint", "integer", "bigint", "numeric"];
  const places = [order.indexOf(from), order.indexOf(to)] as const;
  if (places[0] >= 0 && places[1] >= 0) return places[1] < places[0];
  const isSame = from.replace(/\(.*?\)/, "") === to.replace(/\(.*?\)/, "");
  return !isSame || length(to) < length(from);
}

function settingStatements(
  old: FactsOfKind["column"],
  wanted: FactsOfKind["column"],
  column: string,
  serverVersion: number,
): readonly string[] {
  const actions: string[] = [];
  const alter = (action: string): unknown => actions.push(`ALTER COLUMN ${column} ${action}`);
  if (old.storage !== wanted.storage) alter(`SET STORAGE ${storageWord(wanted.storage, serverVersion)}`);
  if (old.compression !== wanted.compression) alter(`SET COMPRESSION ${wanted.compression ?? "default"}`);
  if (old.statisticsTarget !== wanted.statisticsTarget) alter(`SET STATISTICS ${wanted.statisticsTarget ?? -1}`);
  const gone = namesOf(old.options).filter((name) => !namesOf(wanted.options).includes(name));
  const set = wanted.options.filter((option) => !old.options.includes(option));
  if (gone.length > 0) alter(`RESET (${gone.map((name) => identifier(name)).join(", ")})`);
  if (set.length > 0) alter(`SET (${optionList(set)})`);
  const known = namesOf(old.foreignOptions);
  const wantedNames = namesOf(wanted.foreignOptions);
  const foreign = [
    ...known.filter((name) => !wantedNames.includes(name)).map((name) => `DROP ${identifier(name)}`),
    ...wanted.foreignOptions
      .filter((option) => !old.foreignOptions.includes(option))
      .map((option) => `${known.includes(namesOf([option])[0] ?? "") ? "SET" : "ADD"} ${foreignOptions([option])}`),
  ];
  if (foreign.length > 0) alter(`OPTIONS (${foreign.join(", ")})`);
  return actions;
}

export function namesOf(options: readonly string[]): readonly string[] {
  return options.map((option) => option.slice(0, option.indexOf("=")));
}

function identityStatements(before: Column, after: Column, start: string, column: string): readonly PlannedStatement[] {
  const old = before.facts.identity;
  const wanted = after.facts.identity;
  if (wanted === undefined) return [];
  if (old === undefined) {
    return [
      statement(`${start} ALTER COLUMN ${column} ADD ${identityClause(wanted, after.facts.type)}`),
      ...identitySettings(after).map((sql) => statement(sql)),
      statement(setToHighest(after.schema ?? "", after.name, after.part ?? "")),
    ];
  }
  const actions: string[] = [];
  if (old.kind !== wanted.kind) actions.push(`SET GENERATED ${wanted.kind.toUpperCase()}`);
  const { sequence } = wanted;
  if (sequence.increment !== old.sequence.increment) actions.push(`SET INCREMENT BY ${sequence.increment}`);
  if (sequence.minimum !== old.sequence.minimum) actions.push(`SET MINVALUE ${sequence.minimum}`);
  if (sequence.maximum !== old.sequence.maximum) actions.push(`SET MAXVALUE ${sequence.maximum}`);
  if (sequence.start !== old.sequence.start) actions.push(`SET START WITH ${sequence.start}`);
  if (sequence.cache !== old.sequence.cache) actions.push(`SET CACHE ${sequence.cache}`);
  if (sequence.cycles !== old.sequence.cycles) actions.push(sequence.cycles ? "SET CYCLE" : "SET NO CYCLE");
  // The sequence takes the new type only by its own statement; ALTER COLUMN TYPE leaves it as it is.
  const { name } = wanted;
  const statements: PlannedStatement[] = [];
  if (sequence.type !== old.sequence.type) statements.push(statement(`ALTER SEQUENCE ${old.name} AS ${sequence.type}`));
  statements.push(...withinBounds(old.name, old.sequence, sequence));
  if (actions.length > 0) statements.push(statement(`${start} ALTER COLUMN ${column} ${actions.join(" ")}`));
  if (wanted.persistence !== old.persistence) {
    const persistence = wanted.persistence ?? (old.persistence === "unlogged" ? "permanent" : "unlogged");
    statements.push(statement(`ALTER SEQUENCE ${old.name} SET ${persistence === "unlogged" ? "UNLOGGED" : "LOGGED"}`));
  }
  if (name !== old.name) {
    const last = /"(?:[^"]|"")*"$/.exec(name)?.[0] ?? name;
    statements.push(statement(`ALTER SEQUENCE ${old.name} RENAME TO ${last}`));
  }
  return statements;
}

/** A sequence must stand within its new bounds before it can get them. */
export function withinBounds(name: string, old: SequenceFacts, wanted: SequenceFacts): readonly PlannedStatement[] {
  const isNarrower = BigInt(wanted.minimum) > BigInt(old.minimum) || BigInt(wanted.maximum) < BigInt(old.maximum);
  if (!isNarrower) return [];
  const isInside = `last_value BETWEEN ${wanted.minimum} AND ${wanted.maximum}`;
  return [
    statement(
      `SELECT pg_catalog.setval(${literal(name)}, ${wanted.start}, false) FROM ${name} WHERE NOT (${isInside})`,
      [{ kind: "may fail", why: "the sequence starts again when it stands outside of its new bounds" }],
    ),
  ];
}
