// A made-up schema of any size, always the same for the same numbers: tables with columns, keys, indexes, checks, comments and
// policies, triggers, views, functions, enums. A second form of it differs in as many places as is asked for.

const TABLES_PER_SCHEMA = 100;
/** Every tenth table has a view over it, a function and a trigger. */
const EVERY = 10;

/** What may differ in a table; each entry changes the parts of one table, which are lists of SQL. */
const DIFFERENCES = [
  (table) => table.columns.push("added_note text"),
  (table) => table.columns.splice(table.columns.indexOf("remark text"), 1),
  (table) => (table.stateDefault = "'waiting'"),
  (table) => table.indexes.push(`CREATE INDEX ${table.bare}_ranked ON ${table.name} (ranking, made_at)`),
  (table) => (table.highest = 5_000),
  (table) => (table.comment = "what it holds was described anew"),
  (table) => (table.policyUsing = "owner_id = 7"),
  (table) => (table.amountType = "numeric(14, 2)"),
  (table) => table.columns.splice(2, 1, "label text"),
  (table) => table.indexes.splice(0, 1),
];

/**
 * @param tables - how many
 * @param differences - in how many tables, evenly spread, something is other than in the schema with 0
 * @returns the schema as one SQL script
 */
export function generatedSchema(tables, differences = 0) {
  const changed = new Map(
    Array.from({ length: differences }, (_, place) => [Math.floor((place * tables) / differences), place]),
  );
  const schemas = Array.from({ length: Math.ceil(tables / TABLES_PER_SCHEMA) }, (_, n) => `area_${n}`);
  const lines = schemas.flatMap((schema) => [
    `CREATE SCHEMA ${schema};`,
    `CREATE TYPE ${schema}.state AS ENUM ('new', 'waiting', 'running', 'done', 'failed');`,
    `CREATE FUNCTION ${schema}.touch() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  NEW.made_at := now();\n  RETURN NEW;\nEND\n$$;`,
  ]);
  const keys = [];
  for (let number = 0; number < tables; number++) {
    const table = tableParts(number);
    const place = changed.get(number);
    if (place !== undefined) DIFFERENCES[place % DIFFERENCES.length](table);
    lines.push(...tableSql(table, number));
    if (number > 0) keys.push(foreignKey(table, number));
  }
  return [...lines, ...keys].join("\n");
}

function tableParts(number) {
  const schema = `area_${Math.floor(number / TABLES_PER_SCHEMA)}`;
  const bare = `thing_${number}`;
  return {
    schema,
    bare,
    name: `${schema}.${bare}`,
    stateDefault: "'new'",
    highest: 1_000,
    amountType: "numeric(12, 2)",
    comment: `things of kind ${number}`,
    policyUsing: "owner_id = nullif(current_setting('app.owner_id', true), '')::bigint",
    columns: ["id bigint GENERATED ALWAYS AS IDENTITY", "owner_id bigint NOT NULL", "label varchar(80)", "remark text"],
    indexes: [
      `CREATE INDEX ${bare}_label ON ${schema}.${bare} (lower(label))`,
      `CREATE INDEX ${bare}_open ON ${schema}.${bare} (owner_id, made_at DESC) WHERE state <> 'done'`,
    ],
  };
}

function tableSql(table, number) {
  const { schema, bare, name } = table;
  const columns = [
    ...table.columns,
    "other_id bigint",
    `state ${schema}.state NOT NULL DEFAULT ${table.stateDefault}`,
    "ranking integer NOT NULL DEFAULT 0",
    `amount ${table.amountType}`,
    "payload jsonb NOT NULL DEFAULT '{}'",
    "made_at timestamptz NOT NULL DEFAULT now()",
    `CONSTRAINT ${bare}_pkey PRIMARY KEY (id)`,
    `CONSTRAINT ${bare}_ranking CHECK (ranking BETWEEN 0 AND ${table.highest})`,
    `CONSTRAINT ${bare}_amount CHECK (amount IS NULL OR amount >= 0)`,
  ];
  const sql = [
    `CREATE TABLE ${name} (\n  ${columns.join(",\n  ")}\n);`,
    ...table.indexes.map((index) => `${index};`),
    `COMMENT ON TABLE ${name} IS '${table.comment}';`,
    `COMMENT ON COLUMN ${name}.payload IS 'whatever else is known of it';`,
    `ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY;`,
    `CREATE POLICY own_rows ON ${name} USING (${table.policyUsing});`,
  ];
  if (number % EVERY !== 0) return sql;
  return [
    ...sql,
    `CREATE TRIGGER touch BEFORE UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION ${schema}.touch();`,
    `CREATE VIEW ${schema}.open_${bare} AS\nSELECT t.id, t.owner_id, t.amount FROM ${name} AS t WHERE t.state <> 'done';`,
    `CREATE FUNCTION ${schema}.count_${bare}(owner bigint) RETURNS bigint LANGUAGE sql STABLE AS $$\n  SELECT count(*) FROM ${name} WHERE owner_id = owner\n$$;`,
  ];
}

function foreignKey({ name, bare }, number) {
  const target = number - 1;
  const schema = `area_${Math.floor(target / TABLES_PER_SCHEMA)}`;
  return `ALTER TABLE ${name} ADD CONSTRAINT ${bare}_other FOREIGN KEY (other_id) REFERENCES ${schema}.thing_${target} (id) ON DELETE SET NULL;`;
}
