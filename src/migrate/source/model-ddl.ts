// Models as DDL that builds them in an empty database: schemas, extensions, types, sequences, tables, views.
import {
  getMaterializedViewConfig,
  getTableConfig,
  getViewConfig,
  type PgSequence,
  type PgTable,
} from "drizzle-orm/pg-core";
import { literal, type Catalog } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import type { BuildStatement } from "./build.ts";
import { shownName, type Models } from "./models.ts";
import { sequenceOptions, type ModelText } from "./model-text.ts";
import { TableDdl, type TableContext } from "./table-ddl.ts";

/** Types and operator classes that come with an extension: naming one asks for the extension. */
const EXTENSION_WORDS: readonly (readonly [extension: string, words: RegExp])[] = [
  ["vector", /^(?:vector|halfvec|sparsevec)\b|\b(?:hnsw|ivfflat)\b|\b(?:vector|halfvec|sparsevec)_\w+_ops\b/],
  ["postgis", /^(?:geometry|geography)\b/],
  ["citext", /^citext\b/],
  ["hstore", /^hstore\b/],
  ["ltree", /^ltree\b/],
  ["pg_trgm", /\b(?:gin|gist)_trgm_ops\b/],
];

/** Extensions that the models' types and indexes come from. */
export function modelExtensions({ tables }: Models, text: ModelText): readonly string[] {
  const words = tables.flatMap((table) => {
    const { name, schema, columns, indexes } = getTableConfig(table);
    const types = columns.map((column) =>
      text.type(column, `${shownName(schema, name)}.${column.name}`).replaceAll(/(?:\[\d*\])+$/g, ""),
    );
    const keys = indexes.flatMap(({ config }) => [
      config.method ?? "",
      ...config.columns.map((key) => ("indexConfig" in key ? (key.indexConfig?.opClass ?? "") : "")),
    ]);
    return [...types, ...keys];
  });
  return EXTENSION_WORDS.filter(([, pattern]) => words.some((word) => pattern.test(word))).map(([name]) => name);
}

export interface ModelDdl {
  /** Schemas, extensions, enums, sequences. */
  readonly first: readonly BuildStatement[];
  /** Tables that are there at present, and those that are not. */
  readonly presentTables: readonly BuildStatement[];
  readonly newTables: readonly BuildStatement[];
  readonly views: readonly BuildStatement[];
}

export function modelStatements(models: Models, context: TableContext): ModelDdl {
  const known = new Set((context.present?.tables ?? []).map(({ schema, name }) => shownName(schema, name)));
  const isPresent = (table: PgTable): boolean => {
    const { schema, name } = getTableConfig(table);
    return known.has(shownName(schema, name));
  };
  const ddlOf = (tables: readonly PgTable[]): readonly BuildStatement[] =>
    tables.flatMap((table) => new TableDdl(table, models, context).statements());
  return {
    first: [
      ...models.schemas
        .filter((name) => name !== "public")
        .map((name) => needed(`the schema ${name}`, `CREATE SCHEMA IF NOT EXISTS ${identifier(name)}`)),
      ...modelExtensions(models, context.text).map((name) => extensionStatement(name, context.present)),
      ...models.enums.map(({ schema, enumName, enumValues }) =>
        needed(
          `the enum ${shownName(schema, enumName)}`,
          `CREATE TYPE ${identifier(schema ?? "public", enumName)} AS ENUM (${enumValues.map(literal).join(", ")})`,
        ),
      ),
      ...models.sequences.map((sequence) =>
        needed(`the sequence ${shownName(sequence.schema, sequence.seqName ?? "")}`, sequenceSql(sequence)),
      ),
    ],
    presentTables: ddlOf(models.tables.filter(isPresent)),
    newTables: ddlOf(models.tables.filter((table) => !isPresent(table))),
    views: [...viewStatements(models, context), ...materializedViewStatements(models, context)],
  };
}

function viewStatements({ views }: Models, { text }: TableContext): readonly BuildStatement[] {
  return views.flatMap((view) => {
    const { name, schema, query, with: options } = getViewConfig(view);
    if (query === undefined) return []; // made elsewhere: .existing()
    const subject = `the view ${shownName(schema, name)}`;
    const start = `CREATE VIEW ${identifier(schema ?? "public", name)}${withOptions(options)}`;
    return [needed(subject, `${start} AS ${text.expression(query, subject)}`)];
  });
}

function materializedViewStatements({ materializedViews }: Models, { text }: TableContext): readonly BuildStatement[] {
  return materializedViews.flatMap((view) => {
    const { name, schema, query, with: options, using, tablespace, withNoData } = getMaterializedViewConfig(view);
    if (query === undefined) return [];
    const subject = `the materialized view ${shownName(schema, name)}`;
    const sql = [
      `CREATE MATERIALIZED VIEW ${identifier(schema ?? "public", name)}`,
      using === undefined ? "" : ` USING ${identifier(using)}`,
      withOptions(options),
      tablespace === undefined ? "" : ` TABLESPACE ${identifier(tablespace)}`,
      ` AS ${text.expression(query, subject)}`,
      withNoData === true ? " WITH NO DATA" : "",
    ];
    return [needed(subject, sql.join(""))];
  });
}

function needed(subject: string, sql: string): BuildStatement {
  return { subject, sql, isOptional: false };
}

function extensionStatement(name: string, present: Catalog | undefined): BuildStatement {
  const schema = present?.extensions.find((extension) => extension.name === name)?.schema ?? "public";
  const prepare = schema === "public" ? "" : `CREATE SCHEMA IF NOT EXISTS ${identifier(schema)}; `;
  return {
    sql: `${prepare}CREATE EXTENSION IF NOT EXISTS ${identifier(name)} SCHEMA ${identifier(schema)}`,
    subject: `the extension ${name}`,
    isOptional: false,
  };
}

function sequenceSql({ schema, seqName, seqOptions }: PgSequence): string {
  return `CREATE SEQUENCE ${identifier(schema ?? "public", seqName ?? "")}${sequenceOptions(seqOptions)}`;
}

/** `{ securityInvoker: true }` → ` WITH (security_invoker = true)`. */
function withOptions(options: object | undefined): string {
  const entries = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
  if (entries.length === 0) return "";
  const snake = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return ` WITH (${entries.map(([name, value]) => `${identifier(snake(name))} = ${String(value)}`).join(", ")})`;
}
