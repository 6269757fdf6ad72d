// House style beyond types: names, tenants, keys, the order of columns. Off until asked for.
import { indexKeys } from "../apply-statement.ts";
import { blocksWrites } from "../locks.ts";
import {
  childOf,
  constraintOf,
  flagOf,
  listOf,
  relationName,
  tableColumns,
  textOf,
  type Action,
  type Name,
} from "../syntax.ts";
import { isSerial, typeOf } from "../type-change.ts";
import { madeForeignKeys } from "./keys.ts";
import { defineLintRule, type LintRule, type RuleContext } from "./rule.ts";
import { sqlName, word } from "./words.ts";

const TENANT = "tenant_id";
const DATA_STATEMENTS = new Set(["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"]);

/** Whether the action's table has a column, as it is or as it is made here. */
function hasColumn({ action, state }: Pick<RuleContext, "action" | "state">, column: string): boolean {
  if (action.kind === "CreateStmt") return tableColumns(action.node).some((item) => textOf(item, "colname") === column);
  return action.table !== undefined && state.table(action.table).columns.has(column);
}

const isSameTable = (a: Name | undefined, b: Name | undefined): boolean =>
  a !== undefined && b !== undefined && a.name === b.name && (a.schema ?? b.schema) === (b.schema ?? a.schema);

/** Bytes a value of fixed length takes, which is also what it is aligned to; pg_type.typlen and typalign. */
const ALIGNED: Readonly<Record<string, number>> = {
  ...Object.fromEntries(["int8", "float8", "timestamp", "timestamptz", "time", "money"].map((name) => [name, 8])),
  ...Object.fromEntries(["int4", "float4", "date", "oid"].map((name) => [name, 4])),
  int2: 2,
  bool: 1,
};

/** Bytes of the fixed columns that lead the row, with the blanks that keep each in its place. */
function widthOf(sizes: readonly number[]): number {
  return sizes.reduce((at, size) => Math.ceil(at / size) * size + size, 0);
}

export const houseRules: readonly LintRule[] = [
  defineLintRule({
    id: "naming",
    on: ["CreateStmt", "AT_AddColumn", "IndexStmt", "ViewStmt"],
    title: "A name that has to be quoted",
    severity: "info",
    isRecommended: false,
    why: "Capitals, blanks and other characters have to be quoted in every statement from then on. Lower case with underscores needs none.",
    bad: 'CREATE TABLE "userAccounts" (id bigint);',
    good: "CREATE TABLE user_accounts (id bigint);",
    check({ action: { kind, node, table } }) {
      const names =
        kind === "CreateStmt"
          ? [table?.name, ...tableColumns(node).map((column) => textOf(column, "colname"))]
          : [textOf(node, kind === "IndexStmt" ? "idxname" : "colname") ?? textOf(childOf(node, "view"), "relname")];
      return names
        .filter((name) => name !== undefined && !/^[a-z_][a-z0-9_]*$/.test(name))
        .map((name = "") => ({
          message: `${name} has to be quoted`,
          rewrite: `-- ${name
            .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
            .replaceAll(/\W+/g, "_")
            .toLowerCase()}`,
        }));
    },
  }),
  defineLintRule({
    id: "unnamed-constraint",
    on: ["AT_AddConstraint"],
    title: "A constraint without a name",
    severity: "info",
    isRecommended: false,
    why: "The server chooses one; dropping it later needs a look at the database, and two databases may differ.",
    bad: "ALTER TABLE users ADD CHECK (age > 0) NOT VALID;",
    good: "ALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;",
    check({ action }) {
      if (action.node["conname"] !== undefined || action.node["indexname"] !== undefined) return undefined;
      return {
        message: `the constraint of ${sqlName(action.table)} has no name`,
        rewrite: `ALTER TABLE ${sqlName(action.table)} ADD CONSTRAINT … ;`,
      };
    },
  }),
  defineLintRule({
    id: "constraint-not-enforced",
    on: ["AT_AddConstraint", "AT_AlterConstraint"],
    title: "A constraint that is NOT ENFORCED",
    severity: "info",
    isRecommended: false,
    why: "It keeps nothing out: it is documentation. Enforcing it later reads the table. NOT ENFORCED exists since PostgreSQL 18.",
    bad: "ALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT ENFORCED;",
    good: "ALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;",
    check({ action: { kind, node, table } }) {
      const isOff =
        kind === "AT_AlterConstraint"
          ? flagOf(node, "alterEnforceability") && !flagOf(node, "is_enforced")
          : ["CONSTR_CHECK", "CONSTR_FOREIGN"].includes(String(node["contype"])) && node["is_enforced"] !== true;
      return isOff
        ? {
            message: `${textOf(node, "conname") ?? "the constraint"} of ${sqlName(table)} is not kept`,
            rewrite: "NOT VALID",
          }
        : undefined;
    },
  }),
  defineLintRule({
    id: "schema-and-data-mixed",
    title: "Rows are written in a transaction that changes the schema",
    severity: "info",
    isRecommended: false,
    why: "The locks of the schema change last as long as the rows take. Two migrations can be run, and undone, one by one.",
    bad: "BEGIN;\nALTER TABLE users ADD COLUMN mail text;\nUPDATE users SET mail = email WHERE id < 1000;\nCOMMIT;",
    good: "ALTER TABLE users ADD COLUMN mail text;\nUPDATE users SET mail = email WHERE id < 1000;",
    check({ action, before, isLive }) {
      const held = before?.held.find(({ mode }) => blocksWrites(mode));
      if (held === undefined || !DATA_STATEMENTS.has(action.kind) || !isLive(action.table)) return undefined;
      return { message: `${held.table.name} is locked since "${held.by}"`, rewrite: "-- a migration of its own" };
    },
  }),
  defineLintRule({
    id: "redundant-index",
    on: ["IndexStmt"],
    title: "An index that another one covers",
    severity: "info",
    isRecommended: false,
    why: "An index that begins with the same columns answers the same questions; every write keeps both up.",
    bad: "CREATE TABLE orders (user_id int, at date);\nCREATE INDEX a ON orders (user_id, at);\nCREATE INDEX b ON orders (user_id);",
    good: "CREATE TABLE orders (user_id int, at date);\nCREATE INDEX a ON orders (user_id, at);\nCREATE INDEX b ON orders (at);",
    check({ action: { node, table }, state }) {
      const keys = indexKeys(node);
      const method = textOf(node, "accessMethod") ?? "btree";
      if (table === undefined || flagOf(node, "unique") || node["whereClause"] !== undefined || method !== "btree")
        return undefined;
      const other = [...state.table(table).indexes].find(
        ([, index]) =>
          !index.isPartial && keys.every((key, position) => index.keys[position] === key && !key.startsWith("(")),
      );
      return other === undefined
        ? undefined
        : { message: `${other[0]} begins with ${keys.join(", ")}`, rewrite: "-- leave it out" };
    },
  }),
  defineLintRule({
    id: "short-primary-key",
    on: ["CreateStmt"],
    title: "A primary key of four bytes or less",
    severity: "info",
    isRecommended: false,
    why: "After two thousand million rows inserts fail, and making the column wider rewrites the table and all that refer to it.",
    bad: "CREATE TABLE users (id serial PRIMARY KEY);",
    good: "CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);",
    check({ action }) {
      return tableColumns(action.node).flatMap((column) => {
        const type = childOf(column, "typeName");
        const name = typeOf(type)?.name;
        if (constraintOf(column, "CONSTR_PRIMARY") === undefined || (name !== "int4" && name !== "int2")) return [];
        const id = word(textOf(column, "colname") ?? "");
        const isNumbered = isSerial(type) || constraintOf(column, "CONSTR_IDENTITY") !== undefined;
        return [
          {
            message: `${id} of ${sqlName(action.table)} is ${name}`,
            rewrite: `${id} bigint ${isNumbered ? "GENERATED ALWAYS AS IDENTITY " : ""}PRIMARY KEY`,
          },
        ];
      });
    },
  }),
  defineLintRule({
    id: "column-order-padding",
    on: ["CreateStmt"],
    title: "The order of columns wastes space in every row",
    severity: "info",
    isRecommended: false,
    why: "A value of eight bytes begins at a multiple of eight: a small column before it is followed by blanks. Wide ones first waste none.",
    bad: "CREATE TABLE readings (ok bool, at timestamptz, kind smallint, value float8);",
    good: "CREATE TABLE readings (at timestamptz, value float8, kind smallint, ok bool);",
    check({ action }) {
      // Only the columns before the first one whose length varies: after that the places depend on the row.
      const sizes: number[] = [];
      for (const column of tableColumns(action.node)) {
        const type = typeOf(childOf(column, "typeName"));
        const size = type === undefined || type.isArray ? undefined : ALIGNED[type.name];
        if (size === undefined) break;
        sizes.push(size);
      }
      const waste = widthOf(sizes) - widthOf(sizes.toSorted((a, b) => b - a));
      if (waste < 8) return undefined;
      return {
        message: `${waste} bytes of each row of ${sqlName(action.table)} are blanks`,
        rewrite: "-- columns of eight bytes first, then four, two, one, then those whose length varies",
      };
    },
  }),
  defineLintRule({
    id: "tenant-index-order",
    on: ["IndexStmt"],
    title: "An index of a tenant's table does not begin with tenant_id",
    severity: "info",
    isRecommended: false,
    why: "Every query of a tenant has tenant_id in its condition, by row-level security: an index that begins with it reads that tenant's rows only.",
    bad: "CREATE TABLE notes (tenant_id uuid, at date);\nCREATE INDEX i ON notes (at);",
    good: "CREATE TABLE notes (tenant_id uuid, at date);\nCREATE INDEX i ON notes (tenant_id, at);",
    check(context) {
      const keys = indexKeys(context.action.node);
      const method = textOf(context.action.node, "accessMethod") ?? "btree";
      if (method !== "btree" || keys[0] === TENANT || !hasColumn(context, TENANT)) return undefined;
      return {
        message: `the index begins with ${keys[0] ?? "an expression"}`,
        rewrite: `(${[TENANT, ...keys.filter((key) => key !== TENANT)].join(", ")})`,
      };
    },
  }),
  defineLintRule({
    id: "tenant-foreign-key",
    on: ["CreateStmt", "AT_AddConstraint", "AT_AddColumn"],
    title: "A foreign key between tenants' tables without tenant_id",
    severity: "warning",
    isRecommended: false,
    why: "A row can refer to another tenant's row: foreign keys pass by row-level security. With tenant_id in the key it cannot.",
    bad: "CREATE TABLE users (tenant_id uuid, id bigint PRIMARY KEY);\nCREATE TABLE notes (tenant_id uuid, user_id bigint REFERENCES users);",
    good: "CREATE TABLE users (tenant_id uuid, id bigint, PRIMARY KEY (tenant_id, id));\nCREATE TABLE notes (tenant_id uuid, user_id bigint, FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id));",
    check(context) {
      const { action, state } = context;
      if (!hasColumn(context, TENANT)) return undefined;
      return madeForeignKeys(action, state)
        .filter(({ columns, references }) => !columns.includes(TENANT) && state.table(references).columns.has(TENANT))
        .map(({ columns, references, referencedColumns }) => ({
          message: `${columns.join(", ")} of ${sqlName(action.table)} may refer to another tenant's row of ${sqlName(references)}`,
          rewrite: `FOREIGN KEY (${[TENANT, ...columns].join(", ")}) REFERENCES ${sqlName(references)} (${[TENANT, ...referencedColumns].join(", ")})`,
        }));
    },
  }),
  defineLintRule({
    id: "tenant-row-security",
    on: ["CreateStmt"],
    title: "A new table with tenant_id and no row-level security",
    severity: "warning",
    isRecommended: false,
    why: "Whoever may read the table reads the rows of every tenant. FORCE holds for the owner, too.",
    bad: "CREATE TABLE notes (tenant_id uuid, body text);",
    good: "CREATE TABLE notes (tenant_id uuid, body text);\nALTER TABLE notes ENABLE ROW LEVEL SECURITY;\nALTER TABLE notes FORCE ROW LEVEL SECURITY;",
    check(context) {
      const { action, later } = context;
      if (!hasColumn(context, TENANT) || action.node["partbound"] !== undefined) return undefined;
      const switched = (kind: string): boolean =>
        later().some((next: Action) => next.kind === kind && isSameTable(next.table, action.table));
      const missing = [
        ...(switched("AT_EnableRowSecurity") ? [] : ["ENABLE"]),
        ...(switched("AT_ForceRowSecurity") ? [] : ["FORCE"]),
      ];
      if (missing.length === 0) return undefined;
      return {
        message: `${sqlName(action.table)} has tenant_id and no ${missing.join(" and no ")} ROW LEVEL SECURITY`,
        rewrite: missing.map((verb) => `ALTER TABLE ${sqlName(action.table)} ${verb} ROW LEVEL SECURITY;`).join("\n"),
      };
    },
  }),
  defineLintRule({
    id: "row-security-without-policy",
    on: ["AT_EnableRowSecurity"],
    title: "Row-level security without a policy",
    severity: "info",
    isRecommended: false,
    why: "Without a policy nobody but the owner sees a row: programs find the table empty.",
    bad: "CREATE TABLE notes (body text);\nALTER TABLE notes ENABLE ROW LEVEL SECURITY;",
    good: "CREATE TABLE notes (body text);\nALTER TABLE notes ENABLE ROW LEVEL SECURITY;\nCREATE POLICY everybody ON notes USING (true);",
    check({ action, later, earlier, isLive }) {
      if (isLive(action.table)) return undefined; // it may have policies already
      const has = [...earlier(), ...later()].some(
        (other) => other.kind === "CreatePolicyStmt" && isSameTable(other.table, action.table),
      );
      return has
        ? undefined
        : {
            message: `${sqlName(action.table)} gets no policy`,
            rewrite: `CREATE POLICY … ON ${sqlName(action.table)} USING (…);`,
          };
    },
  }),
  defineLintRule({
    id: "grant-to-public",
    on: ["GrantStmt"],
    title: "Rights on tables are granted to PUBLIC",
    severity: "warning",
    isRecommended: true,
    why: "Every role of the server gets them, those that are made later too.",
    bad: "GRANT SELECT ON users TO PUBLIC;",
    good: "REVOKE ALL ON FUNCTION total(int) FROM PUBLIC;",
    check({ action: { node } }) {
      const isPublic = listOf(node, "grantees").some(({ node: role }) => role["roletype"] === "ROLESPEC_PUBLIC");
      if (!flagOf(node, "is_grant") || !isPublic || node["objtype"] !== "OBJECT_TABLE") return undefined;
      return { message: "everybody gets rights on tables", rewrite: "-- GRANT … TO a role of yours" };
    },
  }),
  defineLintRule({
    id: "unlogged-table",
    on: ["CreateStmt", "CreateTableAsStmt"],
    title: "An UNLOGGED table",
    severity: "info",
    isRecommended: true,
    why: "It is empty after a crash, and standby servers do not have its rows.",
    bad: "CREATE UNLOGGED TABLE visits (at timestamptz);",
    good: "CREATE TABLE visits (at timestamptz);",
    check({ action: { kind, node } }) {
      const relation = kind === "CreateStmt" ? childOf(node, "relation") : childOf(childOf(node, "into"), "rel");
      return relation?.["relpersistence"] === "u"
        ? { message: `${sqlName(relationName(relation))} loses its rows in a crash`, rewrite: "CREATE TABLE …" }
        : undefined;
    },
  }),
];
