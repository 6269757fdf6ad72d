// One table of the models as DDL: columns, keys, constraints, indexes, row security, triggers, comments. What Drizzle cannot say, and
// `defineTable` did not, is taken from the present schema: silence about a name, a collation or INCLUDE columns asks for no change.
import { getTableColumns } from "drizzle-orm";
import { getTableConfig, type PgColumn, type PgPolicy, type PgTable } from "drizzle-orm/pg-core";
import { literal, optionList, type Catalog, type Column, type Table } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import type { BuildStatement } from "./build.ts";
import { ROLE_WORDS, rolesOf, shownName, type Models } from "./models.ts";
import { cut, sequenceOptions, type ModelText } from "./model-text.ts";
import { presentName } from "./present-names.ts";
import { columnOfProperty, tableDescription, type TableDescription } from "./table-metadata.ts";

export interface TableContext {
  readonly text: ModelText;
  /** The schema there is, for what models do not say. */
  readonly present: Catalog | undefined;
}

/** The DDL of one table and of everything on it. */
export class TableDdl {
  readonly #table: PgTable;
  readonly #config: ReturnType<typeof getTableConfig>;
  readonly #models: Models;
  readonly #text: ModelText;
  readonly #said: TableDescription;
  readonly #present: Table | undefined;
  readonly #schema: string;
  readonly #name: string;
  /** `"schema"."table"`. */
  readonly #sql: string;
  readonly #shown: string;

  constructor(table: PgTable, models: Models, { text, present }: TableContext) {
    this.#table = table;
    this.#config = getTableConfig(table);
    this.#models = models;
    this.#text = text;
    this.#said = tableDescription(table);
    this.#schema = this.#config.schema ?? "public";
    this.#name = this.#config.name;
    this.#sql = identifier(this.#schema, this.#name);
    this.#shown = shownName(this.#schema, this.#name);
    this.#present = present?.tables.find(({ schema, name }) => schema === this.#schema && name === this.#name);
  }

  statements(): readonly BuildStatement[] {
    return [
      this.#statement(`the table ${this.#shown}`, this.#createTable()),
      ...this.#presentSettings(),
      ...Object.entries(this.#said.partitions ?? {}).map(([name, bound]) =>
        this.#statement(
          `the partition ${this.#schema}.${name}`,
          `CREATE TABLE ${identifier(this.#schema, name)} PARTITION OF ${this.#sql} ${bound}`,
        ),
      ),
      ...this.#constraints(),
      ...this.#indexes(),
      ...this.#rowSecurity(),
      ...Object.entries(this.#said.triggers ?? {}).map(([name, body]) =>
        this.#statement(`the trigger ${name} of ${this.#shown}`, this.#triggerSql(name, body)),
      ),
      ...this.#comments(),
    ];
  }

  #statement(subject: string, sql: string, isOptional = false): BuildStatement {
    return { subject, sql, isOptional };
  }

  #createTable(): string {
    const { columns } = this.#config;
    if (columns.length === 0 && this.#present === undefined && this.#said.partitionBy !== undefined)
      throw new InvalidInputError(`the table ${this.#shown} has no columns`);
    const lines = [...columns.map((column) => this.#column(column)), ...this.#keys()];
    const { persistence, partitionKey, accessMethod, tablespace, storageParameters } = this.#present ?? {};
    const partitionBy = this.#said.partitionBy ?? partitionKey;
    const said = Object.entries(this.#said.storageParameters ?? {}).map(([name, value]) => `${name}=${value}`);
    const parameters = this.#said.storageParameters === undefined ? (storageParameters ?? []) : said;
    return [
      `CREATE ${persistence === "unlogged" ? "UNLOGGED " : ""}TABLE ${this.#sql} (\n  ${lines.join(",\n  ")}\n)`,
      partitionBy === undefined ? "" : ` PARTITION BY ${partitionBy}`,
      accessMethod === undefined ? "" : ` USING ${identifier(accessMethod)}`,
      parameters.length === 0 ? "" : ` WITH (${optionList(parameters)})`,
      tablespace === undefined ? "" : ` TABLESPACE ${identifier(tablespace)}`,
    ].join("");
  }

  #column(column: PgColumn): string {
    const name = this.#text.columnName(column);
    const where = `${this.#shown}.${name}`;
    const type = this.#text.type(column, where);
    const old = this.#presentColumn(column);
    const generated = this.#text.generated(column, where);
    const kind = old?.generated?.kind ?? "stored"; // Drizzle knows no other
    const value = generated === undefined ? this.#text.default(column, where) : undefined;
    const identity = column.generatedIdentity;
    const isText = /^(?:text|varchar|char|character|citext|name)\b/i.test(type);
    return [
      `${identifier(name)} ${type}`,
      old?.collation === undefined || !isText ? "" : ` COLLATE ${old.collation}`,
      value === undefined ? "" : ` DEFAULT ${value}`,
      generated === undefined ? "" : ` GENERATED ALWAYS AS (${generated}) ${kind.toUpperCase()}`,
      identity === undefined ? "" : ` ${this.#identity(identity)}`,
      column.notNull || column.primary ? " NOT NULL" : "",
    ].join("");
  }

  #identity({ type, sequenceName, sequenceOptions: options }: NonNullable<PgColumn["generatedIdentity"]>): string {
    const named = sequenceName === undefined ? "" : `SEQUENCE NAME ${identifier(this.#schema, sequenceName)}`;
    const inner = `${named}${sequenceOptions(options)}`.trim();
    return `GENERATED ${type === "byDefault" ? "BY DEFAULT" : "ALWAYS"} AS IDENTITY${inner === "" ? "" : ` (${inner})`}`;
  }

  #presentColumn(column: PgColumn): Column | undefined {
    const name = this.#text.columnName(column);
    return this.#present?.columns.find((candidate) => candidate.name === name);
  }

  /** The primary key and the unique constraints, as CREATE TABLE takes them. */
  #keys(): readonly string[] {
    const { columns, primaryKeys, uniqueConstraints } = this.#config;
    const single = columns.filter(({ primary }) => primary);
    const keys = primaryKeys.map((key) => ({
      columns: key.columns,
      name: key.name,
      madeUp: single.length > 0 ? undefined : `${this.#name}_${this.#joined(key.columns)}_pk`,
    }));
    if (single.length > 0 && keys.length === 0) keys.push({ columns: single, name: undefined, madeUp: undefined });
    const uniques = [
      ...columns
        .filter(({ isUnique }) => isUnique)
        .map((column) => ({
          columns: [column],
          name: column.uniqueName ?? "",
          nullsNotDistinct: (column as unknown as { readonly uniqueType?: string }).uniqueType === "not distinct",
        })),
      ...uniqueConstraints.map(({ columns: of, name, nullsNotDistinct }) => ({
        columns: of,
        name: name ?? "",
        nullsNotDistinct,
      })),
    ];
    return [
      ...keys.map(({ columns: of, name, madeUp }) => {
        const names = of.map((column) => this.#text.columnName(column));
        const found = name ?? presentName(this.#present, "primary key", names) ?? madeUp;
        return `${constraintName(found)}PRIMARY KEY (${this.#text.columnNames(of)})${this.#deferrable(found ?? `${this.#name}_pkey`)}`;
      }),
      ...uniques.map(({ columns: of, name, nullsNotDistinct }) => {
        const names = of.map((column) => this.#text.columnName(column));
        const isMadeUp = name === `${this.#name}_${of.map((column) => column.name).join("_")}_unique`;
        const found = isMadeUp
          ? (presentName(this.#present, "unique", names) ?? `${this.#name}_${names.join("_")}_unique`)
          : name;
        return `${constraintName(found)}UNIQUE${nullsNotDistinct ? " NULLS NOT DISTINCT" : ""} (${this.#text.columnNames(of)})${this.#deferrable(found)}`;
      }),
    ];
  }

  #constraints(): readonly BuildStatement[] {
    const { checks, foreignKeys } = this.#config;
    const add = (name: string, definition: string): BuildStatement =>
      this.#statement(
        `the constraint ${name} of ${this.#shown}`,
        `ALTER TABLE ${this.#sql} ADD ${constraintName(name)}${definition}`,
      );
    return [
      ...checks.map(({ name, value }) => add(name, `CHECK (${this.#text.expression(value, `the check ${name}`)})`)),
      ...Object.entries(this.#said.exclude ?? {}).map(([name, body]) =>
        add(name, `EXCLUDE ${body}${this.#deferrable(name)}`),
      ),
      ...foreignKeys.map((key) => {
        const { name, columns, foreignTable, foreignColumns } = key.reference();
        const target = getTableConfig(foreignTable);
        const names = columns.map((column) => this.#text.columnName(column));
        const references = {
          schema: target.schema ?? "public",
          table: target.name,
          columns: foreignColumns.map((column) => this.#text.columnName(column)),
        };
        const found =
          name ??
          presentName(this.#present, "foreign key", names, references) ??
          [this.#name, ...names, references.table, ...references.columns, "fk"].join("_");
        const actions = [
          key.onDelete === undefined ? "" : ` ON DELETE ${key.onDelete.toUpperCase()}`,
          key.onUpdate === undefined ? "" : ` ON UPDATE ${key.onUpdate.toUpperCase()}`,
        ].join("");
        const on = `${identifier(references.schema, references.table)} (${this.#text.columnNames(foreignColumns)})`;
        return add(
          found,
          `FOREIGN KEY (${this.#text.columnNames(columns)}) REFERENCES ${on}${actions}${this.#deferrable(found)}`,
        );
      }),
    ];
  }

  /** What was said of the constraint, or what it is at present where nothing was said. */
  #deferrable(name: string): string {
    const said = this.#said.deferrable?.[name];
    if (said !== undefined) return ` DEFERRABLE ${said.toUpperCase()}`;
    const old = this.#present?.constraints.find((constraint) => constraint.name === cut(name));
    if (old === undefined || !old.isDeferrable) return "";
    return ` DEFERRABLE INITIALLY ${old.isInitiallyDeferred ? "DEFERRED" : "IMMEDIATE"}`;
  }

  #indexes(): readonly BuildStatement[] {
    return this.#config.indexes.map(({ config }) => {
      const where = `the index ${config.name ?? "without a name"} of ${this.#shown}`;
      const keys = this.#text.indexKeys(config, where);
      const name = this.#indexName(config);
      const old = this.#present?.indexes.find((index) => index.name === cut(name ?? ""));
      const columns = getTableColumns(this.#table);
      const said = this.#said.include?.[config.name ?? name ?? ""];
      const include =
        said?.map((property) => this.#text.columnName(columnOfProperty(columns, property, this.#shown))) ??
        old?.include ??
        [];
      const parameters = Object.entries(config.with ?? {}).map(([option, value]) => `${option} = ${String(value)}`);
      const sql = [
        `CREATE ${config.unique ? "UNIQUE " : ""}INDEX ${name === undefined ? "" : `${identifier(cut(name))} `}ON ${this.#sql}`,
        config.method === undefined ? "" : ` USING ${identifier(config.method)}`,
        ` (${keys.join(", ")})`,
        include.length === 0 ? "" : ` INCLUDE (${include.map((column) => identifier(column)).join(", ")})`,
        config.unique && old?.nullsNotDistinct === true ? " NULLS NOT DISTINCT" : "",
        parameters.length === 0 ? "" : ` WITH (${parameters.join(", ")})`,
        config.where === undefined ? "" : ` WHERE ${this.#text.expression(config.where, where)}`,
      ].join("");
      return this.#statement(where, sql);
    });
  }

  #joined(columns: readonly PgColumn[]): string {
    return columns.map((column) => this.#text.columnName(column)).join("_");
  }

  #indexName(config: ReturnType<typeof getTableConfig>["indexes"][number]["config"]): string | undefined {
    if (config.name !== undefined) return config.name;
    const names = config.columns.map((key) => ("indexConfig" in key ? this.#text.indexedName(config.table, key) : ""));
    if (names.includes("")) return undefined; // an expression: the server names it
    const old = this.#present?.indexes.find(
      ({ constraint, isUnique, keys, predicate }) =>
        constraint === undefined &&
        isUnique === config.unique &&
        (predicate === undefined) === (config.where === undefined) &&
        JSON.stringify(keys.map(({ column }) => column)) === JSON.stringify(names),
    );
    return old?.name ?? `${this.#name}_${names.join("_")}_index`;
  }

  #rowSecurity(): readonly BuildStatement[] {
    const linked = this.#models.linkedPolicies.filter(([table]) => table === this.#table).map(([, policy]) => policy);
    const policies = [...this.#config.policies, ...linked];
    const alter = (what: string): BuildStatement =>
      this.#statement(`row security of ${this.#shown}`, `ALTER TABLE ${this.#sql} ${what} ROW LEVEL SECURITY`);
    return [
      ...(this.#config.enableRLS || policies.length > 0 || this.#said.forceRowSecurity === true
        ? [alter("ENABLE")]
        : []),
      ...((this.#said.forceRowSecurity ?? this.#present?.rowSecurity.forced) === true ? [alter("FORCE")] : []),
      ...policies.map((policy) =>
        this.#statement(`the policy ${policy.name} of ${this.#shown}`, this.#policySql(policy)),
      ),
    ];
  }

  #policySql(policy: PgPolicy): string {
    const roles = rolesOf(policy).map((role) => (ROLE_WORDS.has(role) ? role.toUpperCase() : identifier(role)));
    const { using, withCheck } = policy;
    const where = `the policy ${policy.name} of ${this.#shown}`;
    return [
      `CREATE POLICY ${identifier(policy.name)} ON ${this.#sql} AS ${(policy.as ?? "permissive").toUpperCase()}`,
      ` FOR ${(policy.for ?? "all").toUpperCase()} TO ${roles.join(", ")}`,
      using === undefined ? "" : ` USING (${this.#text.expression(using, where)})`,
      withCheck === undefined ? "" : ` WITH CHECK (${this.#text.expression(withCheck, where)})`,
    ].join("");
  }

  /** `BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch()`: the table goes between the event and the rest. */
  #triggerSql(name: string, body: string): string {
    const rest = /\b(?:FROM|NOT\s+DEFERRABLE|DEFERRABLE|INITIALLY|REFERENCING|FOR|WHEN|EXECUTE)\b/i;
    const at = rest.exec(
      body.replaceAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, (quoted) => "·".repeat(quoted.length)),
    )?.index;
    if (at === undefined) {
      throw new InvalidInputError(`the trigger ${name} of ${this.#shown} says nothing to execute`, {
        hint: "write it like BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()",
      });
    }
    return `CREATE TRIGGER ${identifier(name)} ${body.slice(0, at).trim()} ON ${this.#sql} ${body.slice(at)}`;
  }

  #comments(): readonly BuildStatement[] {
    const columns = getTableColumns(this.#table);
    return [
      ...(this.#said.comment === undefined
        ? []
        : [
            this.#statement(
              `the comment of ${this.#shown}`,
              `COMMENT ON TABLE ${this.#sql} IS ${literal(this.#said.comment)}`,
            ),
          ]),
      ...Object.entries(this.#said.columnComments ?? {}).map(([property, comment]) => {
        const name = this.#text.columnName(columnOfProperty(columns, property, this.#shown));
        return this.#statement(
          `the comment of ${this.#shown}.${name}`,
          `COMMENT ON COLUMN ${identifier(this.#schema, this.#name, name)} IS ${literal(comment)}`,
        );
      }),
    ];
  }

  /** Storage, compression, statistics targets and options of columns: there is no way to say them in a model. */
  #presentSettings(): readonly BuildStatement[] {
    return this.#config.columns.flatMap((column) => {
      const old = this.#presentColumn(column);
      if (old === undefined) return [];
      const name = identifier(old.name);
      const actions = [
        ...(old.isDefaultStorage ? [] : [`SET STORAGE ${old.storage.toUpperCase()}`]),
        ...(old.compression === undefined ? [] : [`SET COMPRESSION ${old.compression}`]),
        ...(old.statisticsTarget === undefined ? [] : [`SET STATISTICS ${old.statisticsTarget}`]),
        ...(old.options.length === 0 ? [] : [`SET (${optionList(old.options)})`]),
      ];
      return actions.map((action) =>
        this.#statement(
          `settings of the column ${this.#shown}.${old.name}`,
          `ALTER TABLE ${this.#sql} ALTER COLUMN ${name} ${action}`,
          true,
        ),
      );
    });
  }
}

function constraintName(name: string | undefined): string {
  return name === undefined || name === "" ? "" : `CONSTRAINT ${identifier(cut(name))} `;
}
