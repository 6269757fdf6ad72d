// Constraints that are added to, validated on or dropped from a table others use.
import { columnsIn } from "../apply-statement.ts";
import { provesNotNull, referencedTables } from "../locks.ts";
import {
  childOf,
  constraintOf,
  droppedNames,
  relationName,
  stringsOf,
  textOf,
  type Action,
  type Name,
} from "../syntax.ts";
import { defineLintRule, type LintRule, type RuleContext } from "./rule.ts";
import { constraintName, lateConstraint, sqlName, word } from "./words.ts";

function addedConstraint(context: RuleContext, type: string): boolean {
  const { action } = context;
  return action.kind === "AT_AddConstraint" && action.node["contype"] === type && context.isLive(action.table);
}

/** As people and tools name foreign keys, where the table is not known. */
const FOREIGN_KEY_NAME = /(?:_fkey|_fk|_foreign)\d*$|^fk_|_fk_|^FK_/;

/** The statement as it stands when it does one thing only. */
function single({ statement, action }: RuleContext): string {
  const commands = statement.node["cmds"];
  return Array.isArray(commands) && commands.length > 1
    ? `ALTER TABLE ${sqlName(action.table)} ADD CONSTRAINT …`
    : statement.text;
}

/** Tables that the action makes foreign keys to. */
export function newlyReferenced(action: Action): readonly Name[] {
  if (action.kind === "CreateStmt") return referencedTables(action.node);
  const foreign =
    action.kind === "AT_AddConstraint"
      ? action.node
      : action.kind === "AT_AddColumn"
        ? constraintOf(action.node, "CONSTR_FOREIGN")
        : undefined;
  return [relationName(childOf(foreign, "pktable")) ?? []].flat();
}

function indexFirst(action: Action, kind: "UNIQUE" | "PRIMARY KEY"): string {
  const columns = stringsOf(action.node, "keys");
  const name = word(
    constraintName(
      action.table,
      action.node["conname"],
      kind === "UNIQUE" ? columns : [],
      kind === "UNIQUE" ? "key" : "pkey",
    ),
  );
  const table = sqlName(action.table);
  return `-- outside a transaction:\nCREATE UNIQUE INDEX CONCURRENTLY ${name} ON ${table} (${columns.map(word).join(", ")});\nALTER TABLE ${table} ADD CONSTRAINT ${name} ${kind} USING INDEX ${name};`;
}

export const constraintRules: readonly LintRule[] = [
  defineLintRule({
    id: "add-check-valid",
    on: ["AT_AddConstraint"],
    title: "A CHECK that is added without NOT VALID reads the whole table",
    severity: "error",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE is held while every row is checked; VALIDATE CONSTRAINT does that under SHARE UPDATE EXCLUSIVE.",
    bad: "ALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0);",
    good: "ALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT age_positive;",
    check(context) {
      const { node, table } = context.action;
      if (
        !addedConstraint(context, "CONSTR_CHECK") ||
        node["skip_validation"] === true ||
        node["is_enforced"] === false
      )
        return undefined;
      const columns = columnsIn(node["raw_expr"]);
      return {
        message: `every row of ${sqlName(table)} is checked under ACCESS EXCLUSIVE`,
        rewrite: lateConstraint(
          single(context),
          table,
          constraintName(table, node["conname"], columns.length === 1 ? columns : [], "check"),
        ),
      };
    },
  }),
  defineLintRule({
    id: "add-foreign-key-valid",
    on: ["AT_AddConstraint"],
    title: "A foreign key that is added without NOT VALID reads both tables",
    severity: "error",
    isRecommended: true,
    why: "SHARE ROW EXCLUSIVE on both tables blocks writes while every row is looked up; VALIDATE CONSTRAINT blocks none.",
    bad: "ALTER TABLE orders ADD CONSTRAINT orders_user_fkey FOREIGN KEY (user_id) REFERENCES users (id);",
    good: "ALTER TABLE orders ADD CONSTRAINT orders_user_fkey FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;\nALTER TABLE orders VALIDATE CONSTRAINT orders_user_fkey;",
    check(context) {
      const { node, table } = context.action;
      if (!addedConstraint(context, "CONSTR_FOREIGN") || table === undefined) return undefined;
      if (node["skip_validation"] === true || node["is_enforced"] === false) return undefined;
      const other = relationName(childOf(node, "pktable"));
      const isPartitioned = context.state.table(table).isPartitioned && context.version < 18;
      return {
        message: `${sqlName(table)} and ${sqlName(other)} are locked against writes while every row is looked up`,
        rewrite: isPartitioned
          ? `-- before PostgreSQL 18 a partitioned table refuses NOT VALID: add it NOT VALID to each partition and validate, then to ${sqlName(table)}`
          : lateConstraint(
              single(context),
              table,
              constraintName(table, node["conname"], stringsOf(node, "fk_attrs"), "fkey"),
            ),
      };
    },
  }),
  defineLintRule({
    id: "foreign-key-not-valid-on-partitioned",
    on: ["AT_AddConstraint"],
    title: "Before PostgreSQL 18 a foreign key of a partitioned table cannot be NOT VALID",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL 14 to 17 answer 42809.",
    bad: "-- given a partitioned table, PostgreSQL 17\nALTER TABLE events ADD FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;",
    good: "ALTER TABLE events_2026 ADD FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;",
    check({ action, state, version }) {
      if (action.kind !== "AT_AddConstraint" || action.node["contype"] !== "CONSTR_FOREIGN" || version >= 18)
        return undefined;
      if (action.node["skip_validation"] !== true || action.table === undefined) return undefined;
      if (!state.table(action.table).isPartitioned) return undefined;
      return {
        message: `${sqlName(action.table)} is partitioned: PostgreSQL ${version} refuses NOT VALID here`,
        rewrite: `-- add it NOT VALID to each partition and validate it there, then add it to ${sqlName(action.table)}`,
      };
    },
  }),
  defineLintRule({
    id: "add-unique-constraint",
    on: ["AT_AddConstraint"],
    title: "A UNIQUE constraint builds its index under ACCESS EXCLUSIVE",
    severity: "error",
    isRecommended: true,
    why: "Nobody reads or writes the table while the index is built.",
    bad: "ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);",
    good: "CREATE UNIQUE INDEX CONCURRENTLY users_email_key ON users (email);\nALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE USING INDEX users_email_key;",
    check(context) {
      if (!addedConstraint(context, "CONSTR_UNIQUE") || context.action.node["indexname"] !== undefined)
        return undefined;
      return {
        message: `an index over ${sqlName(context.action.table)} is built under ACCESS EXCLUSIVE`,
        rewrite: indexFirst(context.action, "UNIQUE"),
      };
    },
  }),
  defineLintRule({
    id: "add-primary-key",
    on: ["AT_AddConstraint"],
    title: "A primary key builds its index under ACCESS EXCLUSIVE",
    severity: "error",
    isRecommended: true,
    why: "Nobody reads or writes the table while the index is built and its columns are read for nulls.",
    bad: "ALTER TABLE users ADD PRIMARY KEY (id);",
    good: "CREATE UNIQUE INDEX CONCURRENTLY users_pkey ON users (id);",
    check(context) {
      if (!addedConstraint(context, "CONSTR_PRIMARY") || context.action.node["indexname"] !== undefined)
        return undefined;
      return {
        message: `an index over ${sqlName(context.action.table)} is built under ACCESS EXCLUSIVE`,
        rewrite: indexFirst(context.action, "PRIMARY KEY"),
      };
    },
  }),
  defineLintRule({
    id: "primary-key-using-nullable-index",
    on: ["AT_AddConstraint"],
    title: "PRIMARY KEY USING INDEX reads the table when its columns may be null",
    severity: "error",
    isRecommended: true,
    why: "The columns become NOT NULL, which reads all rows under ACCESS EXCLUSIVE; it does not when a validated CHECK proves it.",
    bad: "ALTER TABLE users ADD COLUMN id bigint;\nCREATE UNIQUE INDEX CONCURRENTLY users_id_idx ON users (id);\nALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_id_idx;",
    good: "ALTER TABLE users ADD CONSTRAINT id_present CHECK (id IS NOT NULL) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT id_present;\nALTER TABLE users ALTER COLUMN id SET NOT NULL;\nCREATE UNIQUE INDEX CONCURRENTLY users_id_idx ON users (id);\nALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_id_idx;",
    check(context) {
      const { action, state } = context;
      if (!addedConstraint(context, "CONSTR_PRIMARY") || action.table === undefined) return undefined;
      const index = textOf(action.node, "indexname");
      if (index === undefined) return undefined;
      const table = state.table(action.table);
      // Keys are NOT NULL as a rule: where nothing is known of them, nothing is said.
      const columns = (table.indexes.get(index)?.columns ?? []).filter(
        (column) => table.columns.get(column)?.isNullable === true && !provesNotNull(table, column),
      );
      if (columns.length === 0) return undefined;
      return {
        message: `${columns.join(", ")} may be null: all of ${sqlName(action.table)} is read`,
        rewrite: `-- first make the columns NOT NULL through a validated constraint:\nALTER TABLE ${sqlName(action.table)} ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID;`,
      };
    },
  }),
  defineLintRule({
    id: "add-exclusion-constraint",
    on: ["AT_AddConstraint"],
    title: "An exclusion constraint has no online form",
    severity: "error",
    isRecommended: true,
    why: "Its index is built under ACCESS EXCLUSIVE, and PostgreSQL cannot take an index that was built before.",
    bad: "ALTER TABLE bookings ADD CONSTRAINT no_overlap EXCLUDE USING gist (room WITH =, during WITH &&);",
    good: "CREATE TABLE bookings_new (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&));",
    check(context) {
      if (!addedConstraint(context, "CONSTR_EXCLUSION")) return undefined;
      return {
        message: `an index over ${sqlName(context.action.table)} is built under ACCESS EXCLUSIVE`,
        rewrite: "-- put it on a new table and copy the rows over, or add it in a maintenance window",
      };
    },
  }),
  defineLintRule({
    id: "validate-in-adding-transaction",
    on: ["AT_ValidateConstraint"],
    title: "VALIDATE in the transaction that adds the constraint",
    severity: "error",
    isRecommended: true,
    why: "The strong lock of ADD … NOT VALID is held until COMMIT, so the scan runs under it and nothing is gained.",
    bad: "BEGIN;\nALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT age_positive;\nCOMMIT;",
    good: "BEGIN;\nALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;\nCOMMIT;\nALTER TABLE users VALIDATE CONSTRAINT age_positive;",
    check({ action, before, state, isLive }) {
      if (action.kind !== "AT_ValidateConstraint" || action.table === undefined || !isLive(action.table))
        return undefined;
      const table = state.table(action.table);
      const holds = before?.held.find(
        (held) =>
          held.table === table && ["SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"].includes(held.mode),
      );
      if (holds === undefined) return undefined;
      return {
        message: `the transaction holds ${holds.mode} on ${sqlName(action.table)} since "${holds.by}" while ${action.name ?? ""} is validated`,
        rewrite: `COMMIT;\nALTER TABLE ${sqlName(action.table)} VALIDATE CONSTRAINT ${word(action.name ?? "")};`,
      };
    },
  }),
  defineLintRule({
    id: "drop-foreign-key-locks-referenced",
    on: ["AT_DropConstraint", "AT_AlterConstraint", "DropStmt"],
    title: "Dropping a foreign key also locks the referenced table",
    severity: "info",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE is taken on both tables (measured on 14 to 18): in a transaction with other work this blocks the referenced one as long. Where the table is not known, the constraint's name tells what it is.",
    bad: "-- given a foreign key from orders to users\nALTER TABLE orders DROP CONSTRAINT orders_user_fkey;",
    good: "SET lock_timeout = '2s';\nALTER TABLE orders DROP CONSTRAINT orders_user_fkey;",
    check({ action, state, effects, isLive }) {
      const isDrop =
        action.kind === "AT_DropConstraint" ||
        (action.kind === "AT_AlterConstraint" &&
          action.node["alterEnforceability"] === true &&
          action.node["is_enforced"] !== true) ||
        (action.kind === "DropStmt" && action.node["removeType"] === "OBJECT_TABLE");
      if (!isDrop || state.settings.has("lock_timeout")) return undefined;
      const own = action.table === undefined ? droppedNames(action.node) : [action.table];
      const tables = own.map((name) => state.table(name));
      const [table] = tables;
      // By its name, where the table's constraints are not known.
      if (action.kind === "AT_DropConstraint" && table !== undefined && !table.isComplete && isLive(table)) {
        const { name = "" } = action;
        if (!table.constraints.has(name) && FOREIGN_KEY_NAME.test(name))
          return {
            message: `the table that ${name} refers to is locked, too, and may have rows without it from now on`,
            rewrite: "-- alone in its transaction:\nSET LOCAL lock_timeout = '2s';",
          };
      }
      const others = effects.filter(
        ({ table, mode }) => mode === "ACCESS EXCLUSIVE" && !tables.includes(table) && isLive(table),
      );
      return others.map(({ table }) => ({
        message: `${sqlName(table)} is locked too, because the foreign key refers to it`,
        rewrite: "-- alone in its transaction:\nSET LOCAL lock_timeout = '2s';",
      }));
    },
  }),
  defineLintRule({
    id: "multiple-foreign-keys",
    on: ["CreateStmt", "AT_AddConstraint", "AT_AddColumn"],
    title: "Foreign keys to several tables in one transaction",
    severity: "warning",
    isRecommended: true,
    why: "Each locks its referenced table until COMMIT: writes to all of them wait, and a deadlock with other transactions is likely.",
    bad: "BEGIN;\nALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;\nALTER TABLE orders ADD FOREIGN KEY (shop_id) REFERENCES shops (id) NOT VALID;\nCOMMIT;",
    good: "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;\nALTER TABLE orders ADD FOREIGN KEY (shop_id) REFERENCES shops (id) NOT VALID;",
    check({ action, before, state, isLive }) {
      if (before === undefined) return undefined;
      const mine = newlyReferenced(action)
        .filter((name) => isLive(name))
        .map((name) => state.table(name));
      const [first] = mine;
      const other = [...before.referencedTables, ...mine].find((candidate) => candidate !== first);
      if (first === undefined || other === undefined) return undefined;
      return {
        // A new table has no rows to look up: the locks last as long as the transaction, and no longer.
        severity: action.kind === "CreateStmt" || !isLive(action.table) ? "info" : "warning",
        message: `${sqlName(other)} and ${sqlName(first)} are both locked against writes by this transaction`,
        rewrite: "COMMIT;\n-- then add this one in the next transaction",
      };
    },
  }),
  defineLintRule({
    id: "create-table-references-live",
    on: ["CreateStmt"],
    title: "A new table's foreign key locks the referenced table",
    severity: "info",
    isRecommended: false,
    why: "CREATE TABLE … REFERENCES takes SHARE ROW EXCLUSIVE on the referenced table, for a moment: it waits for writers and makes others wait.",
    bad: "CREATE TABLE orders (user_id bigint REFERENCES users (id));",
    good: "SET lock_timeout = '2s';\nCREATE TABLE orders (user_id bigint REFERENCES users (id));",
    check({ action, state, isLive }) {
      if (action.kind !== "CreateStmt" || state.settings.has("lock_timeout")) return undefined;
      return referencedTables(action.node)
        .filter((name) => isLive(name))
        .map((name) => ({
          message: `${sqlName(name)} is locked against writes for a moment`,
          rewrite: "SET LOCAL lock_timeout = '2s';",
        }));
    },
  }),
  defineLintRule({
    id: "drop-constraint",
    on: ["AT_DropConstraint"],
    title: "A constraint is dropped",
    severity: "info",
    isRecommended: false,
    why: "What it forbade can be written from now on, and adding it again may fail.",
    bad: "ALTER TABLE users DROP CONSTRAINT age_positive;",
    good: "ALTER TABLE users VALIDATE CONSTRAINT age_positive;",
    check({ action, isLive }) {
      if (action.kind !== "AT_DropConstraint" || !isLive(action.table)) return undefined;
      return {
        message: `${action.name ?? ""} of ${sqlName(action.table)} no longer holds`,
        rewrite: "-- make sure that no program relies on it",
      };
    },
  }),
  defineLintRule({
    id: "constraint-timing",
    on: ["AT_AlterConstraint"],
    title: "A foreign key is no longer deferrable",
    severity: "warning",
    isRecommended: true,
    why: "Programs that write the referring row first, or say SET CONSTRAINTS … DEFERRED, are refused from then on.",
    bad: "ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey NOT DEFERRABLE;",
    good: "ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE INITIALLY DEFERRED;",
    check({ action: { kind, node, table }, isLive }) {
      if (kind !== "AT_AlterConstraint" || node["alterDeferrability"] !== true || node["deferrable"] === true)
        return undefined;
      return isLive(table)
        ? {
            message: `${textOf(node, "conname") ?? ""} of ${sqlName(table)} is checked at the end of each statement`,
            rewrite: "-- first release programs that write in an order it allows",
          }
        : undefined;
    },
  }),
];
