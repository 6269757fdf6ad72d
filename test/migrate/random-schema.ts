// Random pairs of schemas: lists of features that are in one schema or in both, in the same form or in another, and that stand on
// each other by position, so that what is left out or added moves what the others stand on. Names belong to features.
import * as fc from "fast-check";

export interface Feature {
  readonly kind: keyof typeof WRITERS;
  readonly where: "both" | "before" | "after";
  /** Chooses what it stands on. */
  readonly on: number;
  /** Chooses its form, in each of the two schemas. */
  readonly before: number;
  readonly after: number;
}

export interface SchemaPair {
  readonly before: string;
  readonly after: string;
}

interface Relation {
  readonly name: string;
  readonly columns: readonly string[];
}

/** What the schema has so far. */
class Schema {
  readonly statements: string[] = [];
  readonly enums: string[] = [];
  readonly types: string[] = ["int", "text", "bigint", "numeric(10,2)", "date", "varchar(20)", "int[]", "boolean"];
  readonly functions: string[] = [];
  readonly tables: Relation[] = [];
  readonly partitioned: string[] = [];
  readonly relations: Relation[] = [];
  readonly views: Relation[] = [];
  /** Tables whose rows a function returns: the text of a view over it tells which columns there were when the view was made. */
  readonly returned = new Set<string>();
}

type Writer = (schema: Schema, name: string, on: number, form: number) => void;

function pick<T>(list: readonly T[], at: number): T | undefined {
  return list[at % list.length];
}

function addTable(schema: Schema, name: string, columns: readonly string[], canBeReferenced: boolean): void {
  if (canBeReferenced) schema.tables.push({ name, columns });
  schema.relations.push({ name, columns });
}

const LABELS = [
  ["a", "b", "c"],
  ["a", "c"],
  ["c", "b", "a"],
  ["a", "b", "x", "c", "y"],
];

const WRITERS = {
  enum: (schema, name, _on, form) => {
    const labels = pick(LABELS, form) ?? [];
    schema.statements.push(`CREATE TYPE ${name} AS ENUM (${labels.map((label) => `'${label}'`).join(", ")})`);
    schema.enums.push(name);
    schema.types.push(name, `${name}[]`);
  },
  domain: (schema, name, on, form) => {
    const base = pick(["int", "bigint", "text", ...schema.enums], on) ?? "int";
    const check =
      pick(["", " CHECK (VALUE IS NOT NULL)", " NOT NULL", ` CHECK (VALUE::text <> '${form}')`], form) ?? "";
    schema.statements.push(`CREATE DOMAIN ${name} AS ${base}${check}`);
    schema.types.push(name, `${name}[]`);
  },
  composite: (schema, name, on, form) => {
    const attributes = [
      `p ${pick(schema.types, on)}`,
      ...(form % 3 > 0 ? [`q ${pick(schema.types, form)}`] : []),
      "r int",
    ];
    schema.statements.push(
      `CREATE TYPE ${name} AS (${(form % 2 === 0 ? attributes : [...attributes].reverse()).join(", ")})`,
    );
    schema.types.push(name);
  },
  function: (schema, name, on, form) => {
    const type = pick(["int", "bigint", "numeric"], form);
    const other = pick(schema.types, on);
    schema.statements.push(
      `CREATE FUNCTION ${name}(int) RETURNS ${type} LANGUAGE sql IMMUTABLE AS 'SELECT ($1 + ${form % 2})::${type}'`,
      `CREATE FUNCTION ${name}_of(${form % 2 === 0 ? "a" : "b"} ${other}) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''${form}'''`,
    );
    schema.functions.push(name);
  },
  table: (schema, name, on, form) => {
    const key = pick(
      ["PRIMARY KEY", "NOT NULL UNIQUE", "GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "PRIMARY KEY"],
      form,
    );
    const columns = ["id", "n", "v", "w"];
    schema.statements.push(
      `CREATE TABLE ${name} (id int ${key}, n int${form % 2 === 0 ? "" : " NOT NULL DEFAULT 1"}, v ${pick(schema.types, on)}, w ${pick(schema.types, on + form)})`,
    );
    addTable(schema, name, columns, true);
  },
  heir: (schema, name, on, form) => {
    const parents = schema.tables.filter(({ name: parent }) => !schema.partitioned.includes(parent));
    const parent = pick(parents, on);
    if (parent === undefined) return;
    const own = form % 2 === 0 ? "z int" : "z bigint DEFAULT 2, CHECK (z > 0)";
    schema.statements.push(`CREATE TABLE ${name} (${own}) INHERITS (${parent.name})`);
    addTable(schema, name, [...parent.columns, "z"], false);
  },
  partitioned: (schema, name, on, form) => {
    schema.statements.push(
      `CREATE TABLE ${name} (id ${pick(["int", "bigint"], form)} NOT NULL${form % 3 === 0 ? " PRIMARY KEY" : ""}, n int, v ${pick(schema.types, on)}) PARTITION BY RANGE (id)`,
      `CREATE TABLE ${name}_low PARTITION OF ${name} FOR VALUES FROM (0) TO (${10 + (form % 2)})`,
    );
    schema.partitioned.push(name);
    addTable(schema, name, ["id", "n", "v"], form % 3 === 0);
  },
  partition: (schema, name, on, form) => {
    const parent = pick(schema.partitioned, on);
    if (parent === undefined) return;
    const start = 100 * Number(name.slice(1));
    schema.statements.push(
      `CREATE TABLE ${name} PARTITION OF ${parent} FOR VALUES FROM (${start}) TO (${start + 50 + form})`,
      ...(form % 3 === 0 ? [`CREATE INDEX ${name}_own ON ${name} (n)`] : []),
    );
  },
  column: (schema, name, on, form) => {
    const table = pick(schema.tables, on);
    if (table === undefined || schema.returned.has(table.name)) return;
    const settings = pick(["", " DEFAULT NULL", " UNIQUE"], form);
    schema.statements.push(
      form % 5 === 0
        ? `ALTER TABLE ${table.name} ADD COLUMN ${name} int GENERATED ALWAYS AS (n + ${form}) STORED`
        : `ALTER TABLE ${table.name} ADD COLUMN ${name} ${schema.partitioned.includes(table.name) ? "text" : `${pick(["int", "text", "date"], form)}${settings}`}`,
    );
  },
  check: (schema, name, on, form) => {
    const table = pick(schema.tables, on);
    if (table === undefined) return;
    const called = pick(schema.functions, form);
    const test = called === undefined || form % 2 === 0 ? `n > ${-form}` : `${called}(n) >= 0`;
    schema.statements.push(
      `ALTER TABLE ${table.name} ADD CONSTRAINT ${name} CHECK (${test})${form % 7 === 0 ? " NOT VALID" : ""}`,
    );
  },
  index: (schema, name, on, form) => {
    const table = pick(schema.relations, on);
    if (table === undefined) return;
    const called = pick(schema.functions, form);
    const forms = [
      "(n)",
      "(n DESC, id)",
      "(id) WHERE n > 0",
      "(id) INCLUDE (n)",
      called === undefined ? "(id)" : `(${called}(n))`,
    ];
    schema.statements.push(`CREATE INDEX ${name} ON ${table.name} ${pick(forms, form)}`);
  },
  reference: (schema, name, on, form) => {
    const from = pick(schema.relations, on);
    const to = pick(schema.tables, form);
    if (from === undefined || to === undefined) return;
    const action = pick(["", " ON DELETE CASCADE", " DEFERRABLE", " ON UPDATE SET NULL"], form);
    schema.statements.push(
      `ALTER TABLE ${from.name} ADD CONSTRAINT ${name} FOREIGN KEY (n) REFERENCES ${to.name} (id)${action}`,
    );
  },
  view: (schema, name, on, form) => {
    const from = pick(schema.relations, on);
    if (from === undefined) return;
    const called = pick(schema.functions, form);
    const extra = called === undefined || form % 2 === 0 ? "" : `, ${called}(n) AS f`;
    const rest = from.columns.filter((column) => column !== "id" && column !== "n");
    const columns = form % 3 === 0 ? ["id", "n"] : ["id", "n", ...rest];
    const word = form % 4 === 3 ? "MATERIALIZED VIEW" : "VIEW";
    schema.statements.push(`CREATE ${word} ${name} AS SELECT ${columns.join(", ")}${extra} FROM ${from.name}`);
    schema.views.push({ name, columns });
  },
  viewOverView: (schema, name, on, form) => {
    const from = pick(schema.views, on);
    if (from === undefined) return;
    const columns = form % 2 === 0 ? from.columns.slice(0, 2) : from.columns;
    schema.statements.push(`CREATE VIEW ${name} AS SELECT ${columns.join(", ")} FROM ${from.name} WHERE n > ${form}`);
    schema.views.push({ name, columns });
  },
  setReturning: (schema, name, on, form) => {
    const from = pick([...schema.relations, ...schema.views], on);
    if (from === undefined) return;
    schema.returned.add(from.name);
    schema.statements.push(
      `CREATE FUNCTION ${name}() RETURNS SETOF ${from.name} LANGUAGE sql STABLE AS 'SELECT * FROM ${from.name} LIMIT ${form}'`,
      ...(form % 2 === 0 ? [`CREATE VIEW ${name}_rows AS SELECT id, n FROM ${name}()`] : []),
    );
  },
  trigger: (schema, name, on, form) => {
    const table = pick(schema.tables, on);
    if (table === undefined) return;
    const of = form % 2 === 0 ? "" : " OF n";
    const when = form % 3 === 0 ? " WHEN (NEW.n > 0)" : "";
    schema.statements.push(
      `CREATE FUNCTION ${name}_run() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
      `CREATE TRIGGER ${name} BEFORE UPDATE${of} ON ${table.name} FOR EACH ROW${when} EXECUTE FUNCTION ${name}_run()`,
    );
  },
  policy: (schema, name, on, form) => {
    const table = pick(schema.tables, on);
    if (table === undefined) return;
    const called = pick(schema.functions, form);
    const test = called === undefined || form % 2 === 0 ? `n > ${form}` : `${called}(n) > 0`;
    const other = pick(schema.tables, form);
    const using =
      form % 5 === 4 && other !== undefined ? `EXISTS (SELECT FROM ${other.name} AS o WHERE o.id > 3)` : test;
    schema.statements.push(
      `ALTER TABLE ${table.name} ENABLE ROW LEVEL SECURITY`,
      `CREATE POLICY ${name} ON ${table.name} USING (${using})`,
    );
  },
  byFunction: (schema, name, on, form) => {
    const table = pick(schema.tables, on);
    const called = pick(schema.functions, form);
    if (table === undefined || called === undefined || schema.returned.has(table.name)) return;
    schema.statements.push(`ALTER TABLE ${table.name} ADD COLUMN ${name} numeric DEFAULT ${called}(${form})`);
  },
  sequence: (schema, name, on, form) => {
    const table = pick(schema.tables, on);
    schema.statements.push(
      `CREATE SEQUENCE ${name} INCREMENT ${1 + (form % 3)}`,
      ...(table === undefined || form % 2 === 0
        ? []
        : [`ALTER TABLE ${table.name} ALTER COLUMN n SET DEFAULT nextval('${name}')`]),
      ...(table === undefined || form % 4 !== 3 ? [] : [`ALTER SEQUENCE ${name} OWNED BY ${table.name}.n`]),
    );
  },
  comment: (schema, _name, on, form) => {
    const table = pick(schema.relations, on);
    if (table !== undefined) schema.statements.push(`COMMENT ON COLUMN ${table.name}.n IS 'form ${form}'`);
  },
  grant: (schema, _name, on, form) => {
    const table = pick(schema.relations, on);
    if (table !== undefined)
      schema.statements.push(`GRANT ${pick(["SELECT", "ALL", "UPDATE (n)"], form)} ON ${table.name} TO PUBLIC`);
  },
  statistics: (schema, name, on, form) => {
    const table = pick(schema.relations, on);
    if (table !== undefined)
      schema.statements.push(
        `CREATE STATISTICS ${name} (${pick(["ndistinct", "mcv"], form)}) ON id, n FROM ${table.name}`,
      );
  },
} as const satisfies Readonly<Record<string, Writer>>;

function render(features: readonly Feature[], side: "before" | "after"): string {
  const schema = new Schema();
  for (const [position, { kind, where, on, before, after }] of features.entries()) {
    if (where !== "both" && where !== side) continue;
    const write: Writer = WRITERS[kind];
    write(schema, `o${position + 1}`, on, side === "before" ? before : after);
  }
  return schema.statements.map((sql) => `${sql};\n`).join("");
}

export function schemaPair(features: readonly Feature[]): SchemaPair {
  return { before: render(features, "before"), after: render(features, "after") };
}

const KINDS = Object.keys(WRITERS) as (keyof typeof WRITERS)[];

/** Types and tables come first, so that the rest has something to stand on. */
export function features(maximum: number): fc.Arbitrary<readonly Feature[]> {
  const feature = (kinds: readonly Feature["kind"][]): fc.Arbitrary<Feature> =>
    fc
      .record({
        kind: fc.constantFrom(...kinds),
        where: fc.constantFrom("both" as const, "both" as const, "both" as const, "before" as const, "after" as const),
        on: fc.nat(30),
        before: fc.nat(30),
        after: fc.nat(30),
        isSame: fc.boolean(),
      })
      .map(({ isSame, ...rest }) => ({ ...rest, after: isSame ? rest.before : rest.after }));
  return fc
    .tuple(
      fc.array(feature(["enum", "domain", "composite", "function"]), { maxLength: 4 }),
      fc.array(feature(["table", "partitioned", "table"]), { minLength: 1, maxLength: 3 }),
      fc.array(feature(KINDS), { minLength: 1, maxLength: maximum }),
    )
    .map((parts) => parts.flat());
}
