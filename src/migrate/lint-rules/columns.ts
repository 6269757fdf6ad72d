// Columns that are added to or changed in a table others use.
import { literal } from "../../postgres/literal.ts";
import { mentions } from "../batch-state.ts";
import { addedColumn, columnTypeChange, provesNotNull } from "../locks.ts";
import { childOf, constraintOf, stringsOf, tableColumns, textOf, walk } from "../syntax.ts";
import { typeLabel, typeOf } from "../type-change.ts";
import { defineLintRule, type LintRule, type RuleContext, type RuleMatch } from "./rule.ts";
import { backfillRecipe, notNullRecipe, sqlName, word } from "./words.ts";

const REWRITE_WHY =
  "The table and all its indexes are written anew under ACCESS EXCLUSIVE: nobody reads or writes it meanwhile, which takes minutes on a large table.";
const SCAN_WHY = "The whole table is read under ACCESS EXCLUSIVE: nobody reads or writes it meanwhile.";

function added(
  context: Pick<RuleContext, "action" | "isLive">,
): { readonly column: string; readonly type: string } | undefined {
  const { action } = context;
  if (action.kind !== "AT_AddColumn" || !context.isLive(action.table)) return undefined;
  return { column: textOf(action.node, "colname") ?? "", type: typeLabel(childOf(action.node, "typeName")) };
}

function rewriteRule(
  rewrite: NonNullable<ReturnType<typeof addedColumn>["rewrite"]>,
  rule: Pick<LintRule, "id" | "title" | "bad" | "good">,
  tell: (context: RuleContext, column: string, type: string, cause: string) => RuleMatch,
): LintRule {
  return defineLintRule({
    ...rule,
    on: ["AT_AddColumn"],
    severity: "error",
    isRecommended: true,
    why: REWRITE_WHY,
    check(context) {
      const column = added(context);
      if (column === undefined) return undefined;
      const found = addedColumn(context.action.node, context.state);
      return found.rewrite === rewrite ? tell(context, column.column, column.type, found.cause) : undefined;
    },
  });
}

export const columnRules: readonly LintRule[] = [
  rewriteRule(
    "volatile default",
    {
      id: "add-column-volatile-default",
      title: "Adding a column with a volatile default rewrites the table",
      bad: "ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid();",
      good: "ALTER TABLE users ADD COLUMN token uuid;\nALTER TABLE users ALTER COLUMN token SET DEFAULT gen_random_uuid();",
    },
    ({ action }, column, type, cause) => ({
      message: `${cause}() gives another value for each row, so adding ${column} rewrites ${sqlName(action.table)}`,
      rewrite: backfillRecipe(action.table, column, type, `${word(cause)}()`),
    }),
  ),
  rewriteRule(
    "stored",
    {
      id: "add-column-generated-stored",
      title: "Adding a stored generated column rewrites the table",
      bad: "ALTER TABLE users ADD COLUMN total int GENERATED ALWAYS AS (a + b) STORED;",
      good: "ALTER TABLE users ADD COLUMN total int;",
    },
    ({ action, version }, column, type) => ({
      message: `${column} is computed for every row of ${sqlName(action.table)}, which is rewritten`,
      rewrite:
        version >= 18
          ? `-- make it virtual: ALTER TABLE ${sqlName(action.table)} ADD COLUMN ${word(column)} ${type} GENERATED ALWAYS AS (…) VIRTUAL;`
          : `ALTER TABLE ${sqlName(action.table)} ADD COLUMN ${word(column)} ${type};\n-- keep it by a trigger, then fill the old rows in batches`,
    }),
  ),
  rewriteRule(
    "serial",
    {
      id: "add-column-serial",
      title: "Adding a serial column rewrites the table",
      bad: "ALTER TABLE users ADD COLUMN number bigserial;",
      good: "CREATE SEQUENCE users_number_seq;\nALTER TABLE users ADD COLUMN number bigint;\nALTER TABLE users ALTER COLUMN number SET DEFAULT nextval('users_number_seq');",
    },
    ({ action }, column, type) => {
      const sequence = word(`${action.table?.name ?? "t"}_${column}_seq`);
      return {
        message: `a ${type} column gets a number for every row of ${sqlName(action.table)}, which is rewritten`,
        rewrite: `CREATE SEQUENCE ${sequence};\n${backfillRecipe(action.table, column, type.startsWith("big") ? "bigint" : "integer", `nextval(${literal(sequence)})`)}\nALTER SEQUENCE ${sequence} OWNED BY ${sqlName(action.table)}.${word(column)};`,
      };
    },
  ),
  rewriteRule(
    "identity",
    {
      id: "add-column-identity",
      title: "Adding an identity column rewrites the table",
      bad: "ALTER TABLE users ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;",
      good: "ALTER TABLE users ADD COLUMN number bigint;",
    },
    ({ action }, column, type) => ({
      message: `the identity column ${column} gets a number for every row of ${sqlName(action.table)}, which is rewritten`,
      rewrite: `ALTER TABLE ${sqlName(action.table)} ADD COLUMN ${word(column)} ${type};\n-- fill it in batches, make it NOT NULL through a validated constraint, then (no scan):\nALTER TABLE ${sqlName(action.table)} ALTER COLUMN ${word(column)} ADD GENERATED ALWAYS AS IDENTITY;`,
    }),
  ),
  rewriteRule(
    "domain",
    {
      id: "add-column-constrained-domain",
      title: "Adding a column of a constrained domain rewrites the table",
      bad: "CREATE DOMAIN percent AS int CHECK (value < 101);\nALTER TABLE users ADD COLUMN share percent;",
      good: "ALTER TABLE users ADD COLUMN share int;\nALTER TABLE users ADD CONSTRAINT share_range CHECK (share < 101) NOT VALID;",
    },
    ({ action }, column, type, cause) => ({
      message: `the domain ${cause} has a constraint, so adding ${column} rewrites ${sqlName(action.table)} even where it is null`,
      rewrite: `-- use the domain's base type instead of ${type}, and put its CHECK on the table:\nALTER TABLE ${sqlName(action.table)} ADD CONSTRAINT ${word(`${column}_check`)} CHECK (…) NOT VALID;`,
    }),
  ),
  defineLintRule({
    id: "add-column-inline-check",
    on: ["AT_AddColumn"],
    title: "A CHECK written with a new column is checked at once",
    severity: "error",
    isRecommended: true,
    why: SCAN_WHY,
    bad: "ALTER TABLE users ADD COLUMN age int CHECK (age > 0);",
    good: "ALTER TABLE users ADD COLUMN age int;\nALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;",
    check(context) {
      const column = added(context);
      const check = column === undefined ? undefined : constraintOf(context.action.node, "CONSTR_CHECK");
      if (column === undefined || check === undefined || check["is_enforced"] === false) return undefined;
      const table = sqlName(context.action.table);
      const name = word(textOf(check, "conname") ?? `${context.action.table?.name ?? "t"}_${column.column}_check`);
      return {
        message: `the CHECK on the new column ${column.column} reads all of ${table}`,
        rewrite: `ALTER TABLE ${table} ADD COLUMN ${word(column.column)} ${column.type};\nALTER TABLE ${table} ADD CONSTRAINT ${name} CHECK (…) NOT VALID;\n-- then, in a transaction of its own:\nALTER TABLE ${table} VALIDATE CONSTRAINT ${name};`,
      };
    },
  }),
  defineLintRule({
    id: "add-column-inline-foreign-key",
    on: ["AT_AddColumn"],
    title: "A foreign key written with a new column is not NOT VALID",
    severity: "error",
    isRecommended: true,
    why: "It takes SHARE ROW EXCLUSIVE on the referenced table while ACCESS EXCLUSIVE is held on this one; with a default it reads both.",
    bad: "ALTER TABLE orders ADD COLUMN user_id bigint REFERENCES users (id);",
    good: "ALTER TABLE orders ADD COLUMN user_id bigint;\nALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;",
    check(context) {
      const column = added(context);
      const foreign = column === undefined ? undefined : constraintOf(context.action.node, "CONSTR_FOREIGN");
      if (column === undefined || foreign === undefined) return undefined;
      const table = sqlName(context.action.table);
      const referenced = textOf(childOf(foreign, "pktable"), "relname") ?? "…";
      const keys = stringsOf(foreign, "pk_attrs").map(word).join(", ");
      const name = word(`${context.action.table?.name ?? "t"}_${column.column}_fkey`);
      return {
        message: `the foreign key on the new column ${column.column} locks ${table} and ${referenced} against writes`,
        rewrite: `ALTER TABLE ${table} ADD COLUMN ${word(column.column)} ${column.type};\n-- outside a transaction:\nCREATE INDEX CONCURRENTLY ON ${table} (${word(column.column)});\nALTER TABLE ${table} ADD CONSTRAINT ${name} FOREIGN KEY (${word(column.column)}) REFERENCES ${word(referenced)}${keys === "" ? "" : ` (${keys})`} NOT VALID;\n-- then, in a transaction of its own:\nALTER TABLE ${table} VALIDATE CONSTRAINT ${name};`,
      };
    },
  }),
  defineLintRule({
    id: "add-column-inline-unique",
    on: ["AT_AddColumn"],
    title: "UNIQUE or PRIMARY KEY written with a new column builds its index under the lock",
    severity: "error",
    isRecommended: true,
    why: SCAN_WHY,
    bad: "ALTER TABLE users ADD COLUMN email text UNIQUE;",
    good: "ALTER TABLE users ADD COLUMN email text;\nCREATE UNIQUE INDEX CONCURRENTLY users_email_key ON users (email);",
    check(context) {
      const column = added(context);
      if (column === undefined) return undefined;
      const { node, table } = context.action;
      const kind =
        constraintOf(node, "CONSTR_PRIMARY") !== undefined
          ? "PRIMARY KEY"
          : constraintOf(node, "CONSTR_UNIQUE") !== undefined
            ? "UNIQUE"
            : undefined;
      if (kind === undefined) return undefined;
      const name = word(`${table?.name ?? "t"}_${column.column}_key`);
      return {
        message: `${kind} on the new column ${column.column} builds an index over ${sqlName(table)} under ACCESS EXCLUSIVE`,
        rewrite: `ALTER TABLE ${sqlName(table)} ADD COLUMN ${word(column.column)} ${column.type};\n-- outside a transaction:\nCREATE UNIQUE INDEX CONCURRENTLY ${name} ON ${sqlName(table)} (${word(column.column)});\nALTER TABLE ${sqlName(table)} ADD CONSTRAINT ${name} ${kind} USING INDEX ${name};`,
      };
    },
  }),
  defineLintRule({
    id: "required-column",
    on: ["AT_AddColumn"],
    title: "A new NOT NULL column without a default",
    severity: "error",
    isRecommended: true,
    why: "It fails where the table has rows, and programs that do not know the column can no longer insert.",
    bad: "ALTER TABLE users ADD COLUMN email text NOT NULL;",
    good: "ALTER TABLE users ADD COLUMN email text NOT NULL DEFAULT '';",
    check(context) {
      const { node, table } = context.action;
      const isFilled = table !== undefined && context.state.find(table)?.isFilled === true;
      const column = added(isFilled ? { action: context.action, isLive: () => true } : context);
      if (column === undefined) return undefined;
      const has = (type: string): boolean => constraintOf(node, type) !== undefined;
      const isRequired = has("CONSTR_NOTNULL") || has("CONSTR_PRIMARY");
      const value = childOf(constraintOf(node, "CONSTR_DEFAULT"), "raw_expr");
      const hasValue =
        (value !== undefined && value["isnull"] !== true) || has("CONSTR_GENERATED") || has("CONSTR_IDENTITY");
      if (!isRequired || hasValue || addedColumn(node, context.state).rewrite === "serial") return undefined;
      return {
        message: `${column.column} is NOT NULL and has no default: it cannot be added to ${sqlName(table)} when that has rows`,
        rewrite: `ALTER TABLE ${sqlName(table)} ADD COLUMN ${word(column.column)} ${column.type} NOT NULL DEFAULT …;\n-- or: add it without NOT NULL, fill it in batches, then\n${notNullRecipe(table, column.column, context.version)}`,
      };
    },
  }),
  defineLintRule({
    id: "set-not-null",
    on: ["AT_SetNotNull", "AT_AddConstraint"],
    title: "SET NOT NULL reads the whole table under its lock",
    severity: "error",
    isRecommended: true,
    why: SCAN_WHY,
    bad: "ALTER TABLE users ALTER COLUMN email SET NOT NULL;",
    good: "ALTER TABLE users ADD CONSTRAINT email_present CHECK (email IS NOT NULL) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT email_present;\nALTER TABLE users ALTER COLUMN email SET NOT NULL;",
    check(context) {
      const { action } = context;
      if (!context.isLive(action.table) || action.table === undefined) return undefined;
      const isConstraint = action.kind === "AT_AddConstraint" && action.node["contype"] === "CONSTR_NOTNULL";
      if (action.kind !== "AT_SetNotNull" && !isConstraint) return undefined;
      if (isConstraint && action.node["skip_validation"] === true) return undefined;
      const column = isConstraint ? (stringsOf(action.node, "keys")[0] ?? "") : (action.name ?? "");
      if (provesNotNull(context.state.table(action.table), column)) return undefined;
      return {
        message: `all of ${sqlName(action.table)} is read for nulls in ${column}`,
        rewrite: notNullRecipe(action.table, column, context.version),
      };
    },
  }),
  defineLintRule({
    id: "change-column-type",
    on: ["AT_AlterColumnType"],
    title: "Changing a column's type rewrites the table",
    severity: "error",
    isRecommended: true,
    why: REWRITE_WHY,
    bad: "ALTER TABLE users ALTER COLUMN id TYPE bigint;",
    good: "ALTER TABLE users ADD COLUMN id_new bigint;",
    check(context) {
      const { action, state } = context;
      if (action.kind !== "AT_AlterColumnType" || action.table === undefined || !context.isLive(action.table))
        return undefined;
      const table = state.table(action.table);
      const { cost } = columnTypeChange(action, table, state);
      if (cost === "nothing") return undefined;
      const label = typeLabel(childOf(action.node, "typeName"));
      const column = action.name ?? "";
      return {
        message:
          cost === undefined
            ? `changing ${column} of ${sqlName(action.table)} to ${label} rewrites the table unless its present type is compatible; --database or --schema tells`
            : `changing ${column} of ${sqlName(action.table)} to ${label} rewrites the table`,
        rewrite: `ALTER TABLE ${sqlName(action.table)} ADD COLUMN ${word(`${column}_new`)} ${label};\n-- keep it equal by a trigger, fill the old rows in batches, build its indexes concurrently, then in one transaction:\nALTER TABLE ${sqlName(action.table)} RENAME COLUMN ${word(column)} TO ${word(`${column}_old`)};\nALTER TABLE ${sqlName(action.table)} RENAME COLUMN ${word(`${column}_new`)} TO ${word(column)};`,
      };
    },
  }),
  defineLintRule({
    id: "type-change-rebuilds-index",
    on: ["AT_AlterColumnType"],
    title: "A type change without a rewrite still rebuilds indexes",
    severity: "error",
    isRecommended: true,
    why: "The index is built anew under ACCESS EXCLUSIVE: expression and partial indexes on the column, indexes of partitioned tables, citext, time zones, collations.",
    bad: "-- given an index on lower(name)\nALTER TABLE users ALTER COLUMN name TYPE varchar(200);",
    good: "DROP INDEX CONCURRENTLY users_lower_name;\nALTER TABLE users ALTER COLUMN name TYPE varchar(200);",
    check(context) {
      const { action, state } = context;
      if (action.kind !== "AT_AlterColumnType" || action.table === undefined || !context.isLive(action.table))
        return undefined;
      const { rebuiltIndexes } = columnTypeChange(action, state.table(action.table), state);
      if (rebuiltIndexes.length === 0) return undefined;
      return {
        message: `changing the type of ${action.name ?? ""} rebuilds ${rebuiltIndexes.join(", ")} under ACCESS EXCLUSIVE`,
        rewrite: `${rebuiltIndexes.map((name) => `DROP INDEX CONCURRENTLY ${word(name)};`).join("\n")}\n-- change the type, then CREATE INDEX CONCURRENTLY again`,
      };
    },
  }),
  defineLintRule({
    id: "type-change-rechecks-constraint",
    on: ["AT_AlterColumnType"],
    title: "A type change without a rewrite still checks constraints again",
    severity: "error",
    isRecommended: true,
    why: "CHECK constraints and foreign keys on the column are checked against every row under ACCESS EXCLUSIVE, for a foreign key on both tables.",
    bad: "-- given CHECK (name <> '')\nALTER TABLE users ALTER COLUMN name TYPE text;",
    good: "ALTER TABLE users DROP CONSTRAINT name_check;\nALTER TABLE users ALTER COLUMN name TYPE text;",
    check(context) {
      const { action, state } = context;
      if (action.kind !== "AT_AlterColumnType" || action.table === undefined || !context.isLive(action.table))
        return undefined;
      const { constraints, cost } = columnTypeChange(action, state.table(action.table), state);
      if (cost !== "nothing" || constraints.length === 0) return undefined;
      const table = sqlName(action.table);
      return {
        message: `changing the type of ${action.name ?? ""} checks ${constraints.join(", ")} again under ACCESS EXCLUSIVE`,
        rewrite: `${constraints.map((name) => `ALTER TABLE ${table} DROP CONSTRAINT ${word(name)};`).join("\n")}\n-- change the type, add them again NOT VALID, then VALIDATE in a transaction of its own`,
      };
    },
  }),
  defineLintRule({
    id: "time-zone-type-change",
    on: ["AT_AlterColumnType"],
    title: "timestamp and timestamptz are converted by the session's time zone",
    severity: "error",
    isRecommended: true,
    why: "Where TimeZone is not UTC the table is rewritten, and the values depend on who runs the migration.",
    bad: "-- given at timestamptz\nALTER TABLE events ALTER COLUMN at TYPE timestamp;",
    good: "SET timezone = 'UTC';\nALTER TABLE events ALTER COLUMN at TYPE timestamptz;",
    check(context) {
      const { action, state } = context;
      if (action.kind !== "AT_AlterColumnType" || action.table === undefined || !context.isLive(action.table))
        return undefined;
      const from = state.table(action.table).columns.get(action.name ?? "")?.type?.name;
      const to = typeOf(childOf(action.node, "typeName"))?.name;
      const isPair = ["timestamp timestamptz", "timestamptz timestamp"].includes(`${from} ${to}`);
      if (!isPair || action.node["raw_default"] !== undefined || state.settings.has("timezone")) return undefined;
      return {
        message: `the values of ${action.name ?? ""} are converted by the TimeZone of the session that runs this`,
        rewrite: `SET timezone = 'UTC';\n-- or say it: USING ${word(action.name ?? "")} AT TIME ZONE 'UTC' (rewrites the table)`,
      };
    },
  }),
  defineLintRule({
    id: "type-change-blocked",
    on: ["AT_AlterColumnType"],
    title: "A type change is refused while views, policies, triggers or generated columns use the column",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL answers 0A000. They are to be dropped and made again in the same transaction.",
    bad: "-- given CREATE VIEW names AS SELECT name FROM users\nALTER TABLE users ALTER COLUMN name TYPE text;",
    good: "BEGIN;\nDROP VIEW names;\nALTER TABLE users ALTER COLUMN name TYPE text;\nCREATE VIEW names AS SELECT name FROM users;\nCOMMIT;",
    check(context) {
      const { action, state, earlier } = context;
      if (action.kind !== "AT_AlterColumnType" || action.table === undefined) return undefined;
      const column = action.name ?? "";
      const dropped = new Set<string>();
      for (const { kind, node } of earlier()) {
        if (kind === "DropStmt") walk(node["objects"], (_, item) => dropped.add(textOf(item, "sval") ?? ""));
      }
      const blocking = state
        .table(action.table)
        .dependants.filter(({ what, text }) => {
          const name = what.split(" ").at(-1) ?? "";
          return !dropped.has(name) && mentions(text, column);
        })
        .map(({ what }) => what);
      if (blocking.length === 0) return undefined;
      return {
        message: `${blocking.join(", ")} uses ${column}: PostgreSQL refuses to change its type`,
        rewrite: `-- in one transaction: drop ${blocking.join(", ")}, change the type, make it again`,
      };
    },
  }),
  defineLintRule({
    id: "json-column",
    on: ["AT_AddColumn", "CreateStmt", "AT_AlterColumnType"],
    title: "json has no equality",
    severity: "warning",
    isRecommended: true,
    why: "SELECT DISTINCT, GROUP BY and UNION over the table's rows fail with json columns; jsonb has equality and indexes.",
    bad: "ALTER TABLE users ADD COLUMN settings json;",
    good: "ALTER TABLE users ADD COLUMN settings jsonb;",
    check({ action }) {
      const columns =
        action.kind === "AT_AddColumn"
          ? [action.node]
          : action.kind === "CreateStmt"
            ? tableColumns(action.node)
            : action.kind === "AT_AlterColumnType"
              ? [action.node]
              : [];
      return columns
        .filter((column) => typeOf(childOf(column, "typeName"))?.name === "json")
        .map((column) => {
          const name = textOf(column, "colname") ?? action.name ?? "";
          return { message: `${name} is json`, rewrite: `${word(name)} jsonb` };
        });
    },
  }),
];
