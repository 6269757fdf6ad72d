// What must not share a transaction, and what should not hold locks while it works.
import { isConcurrent, relationsIn } from "../apply-statement.ts";
import { blocksWrites } from "../locks.ts";
import { refusedInTransaction } from "../run-alone.ts";
import { listOf, stringsOf, textOf, walk, type Action } from "../syntax.ts";
import { defineLintRule, type LintRule, type RuleContext } from "./rule.ts";
import { sqlName, word } from "./words.ts";

const TOOL_HINTS: Readonly<Record<string, string>> = {
  dbmate: "-- migrate:up transaction:false",
  goose: "-- +goose NO TRANSACTION",
  "sql-migrate": "-- +migrate Up notransaction",
  sqlx: "-- no-transaction",
  diesel: "-- in the migration's metadata.toml: run_in_transaction = false",
  atlas: "-- atlas:txmode none",
  drizzle: "-- drizzle's migrator runs all pending files in one transaction: run this one beside it",
  flyway: "-- a script of its own: Flyway runs it without a transaction (or executeInTransaction=false)",
  "golang-migrate": "-- a file of its own: several statements sent together are one transaction",
  "graphile-migrate": "--! no-transaction",
  hasura: "-- run it beside the migrations: Hasura's server opens a transaction for each",
  liquibase: "--changeset author:id runInTransaction:false",
  prisma: "-- a migration of its own: several statements sent together are one transaction",
  supabase: "-- a migration of its own: several statements sent together are one transaction",
  tern: "---- tern: disable-tx ----",
};
/** Tools whose newer versions run such a statement apart from the others of its file. */
const RUNS_IT_APART_SINCE: Readonly<Record<string, string>> = { prisma: "7.4", supabase: "2.109" };
/** Tools that send the file as one query even without a transaction of theirs. */
const SENT_WHOLE = "-- a file of its own: several statements sent together are one transaction";

/** Statements that read rows; what an INSERT … VALUES writes stands in it. */
const READS: ReadonlySet<string> = new Set(["SelectStmt", "UpdateStmt", "DeleteStmt", "InsertStmt", "MergeStmt"]);

/** The server's catalogs, and where tools note which migrations ran: a few rows, or found by index. */
const FEW_ROWS =
  /^(?:pg_.*|alembic_version|__efmigrationshistory|schema_migrations|ar_internal_metadata|django_migrations|_?prisma_migrations|_?sqlx_migrations|__diesel_schema_migrations|__drizzle_migrations|goose_db_version|gorp_migrations|knex_migrations(?:_lock)?|pgmigrations|sequelizemeta|doctrine_migration_versions|phinxlog|mikro_orm_migrations|(?:typeorm_)?migrations|flyway_schema_history|databasechangelog(?:lock)?)$/i;

export function hasFewRows({ schema, name }: { readonly schema: string | undefined; readonly name: string }): boolean {
  return schema === "pg_catalog" || schema === "information_schema" || FEW_ROWS.test(name);
}

/** `ALTER SUBSCRIPTION … SET (slot_name = NONE)`: then it can be dropped anywhere. */
function isSlotLetGo({ kind, node }: Action): boolean {
  const options = kind === "AlterSubscriptionStmt" ? listOf(node, "options") : [];
  return options.some(({ node: option }) => textOf(option, "defname") === "slot_name");
}

/** Work that takes as long as a table is large that others fill, too. */
function isLong(context: RuleContext): boolean {
  // What is refused has a rule of its own, and works for nobody.
  if (refusedInTransaction(context.action) !== undefined) return false;
  return (
    isLongQuery(context) ||
    context.effects.some((effect) => (effect.scans || effect.rewrites) && !hasFewRows(effect.table))
  );
}

function isLongQuery({ action: { kind, node, table }, isLive }: RuleContext): boolean {
  if (!READS.has(kind)) return false;
  if (kind !== "SelectStmt" && kind !== "InsertStmt" && table !== undefined && isLive(table) && !hasFewRows(table))
    return true;
  const read = relationsIn(kind === "InsertStmt" ? [node["selectStmt"], node["withClause"]] : node);
  return read.some((name) => isLive(name) && !hasFewRows(name));
}

/** Also told of psql's commands that run another file. */
export const opaqueStatement = defineLintRule({
  id: "opaque-statement",
  on: ["DoStmt", "CallStmt"],
  title: "A statement whose effect cannot be read from its text",
  severity: "info",
  isRecommended: true,
  why: "What EXECUTE puts together, CALL and other languages do is known only when they run. DO blocks in PL/pgSQL are looked into.",
  bad: "DO $$ BEGIN EXECUTE format('ALTER TABLE users DROP COLUMN %I', 'e' || 'mail'); END $$;",
  good: "DO $$ BEGIN IF now() > '2026-01-01' THEN ANALYZE users; END IF; END $$;",
  check({ action }) {
    if (action.kind !== "DoStmt" && action.kind !== "CallStmt") return undefined;
    return {
      message: `${action.kind === "DoStmt" ? "DO" : "CALL"} was not fully looked into`,
      rewrite: "-- write the statements themselves, or try the migration on a copy",
    };
  },
});

export const transactionRules: readonly LintRule[] = [
  defineLintRule({
    id: "concurrently-in-transaction",
    title: "A statement that PostgreSQL refuses inside a transaction",
    severity: "error",
    isRecommended: true,
    why: "It fails with 25001: the migration does not run.",
    bad: "BEGIN;\nCREATE INDEX CONCURRENTLY users_email_idx ON users (email);\nCOMMIT;",
    good: "CREATE INDEX CONCURRENTLY users_email_idx ON users (email);",
    check({ action, transaction, openedBy, tool, earlier }) {
      const what = transaction === undefined ? undefined : refusedInTransaction(action);
      if (what === undefined || (action.kind === "DropSubscriptionStmt" && earlier().some(isSlotLetGo)))
        return undefined;
      if (openedBy === "file")
        return {
          message: `${what} cannot run in the transaction that this file opens`,
          rewrite: "-- move it before BEGIN or after COMMIT",
        };
      const since = RUNS_IT_APART_SINCE[tool];
      const runner = tool === "plain" ? "the runner" : tool;
      if (openedBy === "query")
        return {
          message: `${what} cannot run in the transaction that several statements sent together are, as ${runner}${since === undefined ? "" : ` before ${since}`} sends them`,
          rewrite: SENT_WHOLE,
          severity: since === undefined ? undefined : "warning",
        };
      return {
        message: `${what} cannot run in the transaction that ${runner} opens`,
        rewrite: TOOL_HINTS[tool] ?? "-- a file of its own, run without a transaction",
      };
    },
  }),
  defineLintRule({
    id: "enum-value-used-in-same-transaction",
    title: "A new enum value is used in the transaction that adds it",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL answers 55P04: the value is known to others only after COMMIT.",
    bad: "BEGIN;\nALTER TYPE mood ADD VALUE 'calm';\nUPDATE users SET mood = 'calm' WHERE id = 1;\nCOMMIT;",
    good: "ALTER TYPE mood ADD VALUE 'calm';\nUPDATE users SET mood = 'calm' WHERE id = 1;",
    check({ action, before, statement }) {
      if (before === undefined || before.addedEnumValues.size === 0 || action.kind === "AlterEnumStmt")
        return undefined;
      const used = new Set<string>();
      walk([statement.node], (kind, node) => {
        const constant = kind === "A_Const" ? node["sval"] : undefined;
        const text =
          typeof constant === "object" && constant !== null && "sval" in constant ? constant.sval : undefined;
        if (typeof text === "string" && before.addedEnumValues.has(text)) used.add(text);
      });
      return [...used].map((value) => ({
        message: `the enum value '${value}' was added in this transaction`,
        rewrite: "COMMIT;\n-- then use it in the next transaction",
      }));
    },
  }),
  defineLintRule({
    id: "enum-value-in-transaction",
    on: ["AlterEnumStmt"],
    title: "An enum value is added in a transaction",
    severity: "info",
    isRecommended: true,
    why: "Nothing in it may use the value (55P04), defaults, triggers and functions included, which the text does not show. There is no way back: PostgreSQL does not drop a value.",
    bad: "BEGIN;\nALTER TYPE mood ADD VALUE 'calm';\nCOMMIT;",
    good: "ALTER TYPE mood ADD VALUE 'calm';",
    check({ action: { node }, transaction, state }) {
      if (transaction === undefined || node["oldVal"] !== undefined) return undefined;
      const type = stringsOf(node, "typeName").at(-1) ?? "";
      if (state.newTypes.has(type)) return undefined;
      return {
        message: `'${textOf(node, "newVal") ?? ""}' of ${word(type)} cannot be used before COMMIT`,
        rewrite: "-- a migration of its own, without a transaction",
      };
    },
  }),
  defineLintRule({
    id: "statement-after-access-exclusive",
    title: "Long work while ACCESS EXCLUSIVE is held",
    severity: "error",
    isRecommended: true,
    why: "The lock of an earlier statement is held until COMMIT: nobody reads or writes that table while this statement works.",
    bad: "BEGIN;\nALTER TABLE users ADD COLUMN email text;\nUPDATE users SET email = name WHERE email IS NULL;\nCOMMIT;",
    good: "BEGIN;\nALTER TABLE users ADD COLUMN email text;\nCOMMIT;",
    check(context) {
      const { before, action, state } = context;
      if (before === undefined || before.held.length === 0 || !isLong(context)) return undefined;
      // A validation under a lock on its own table has a rule of its own.
      const own = action.kind === "AT_ValidateConstraint" && action.table !== undefined && state.table(action.table);
      const held = before.held.find(({ mode, table }) => mode === "ACCESS EXCLUSIVE" && table !== own);
      if (held === undefined) return undefined;
      return {
        message: `${sqlName({ schema: undefined, name: held.table.name })} is locked since "${held.by}" while this statement works`,
        rewrite: "COMMIT;\n-- then this statement in the next transaction",
      };
    },
  }),
  defineLintRule({
    id: "statement-after-write-lock",
    on: [...READS],
    title: "Long work while nobody may write",
    severity: "warning",
    isRecommended: true,
    why: "CREATE TRIGGER, a foreign key and an index keep everybody from writing their tables until COMMIT, so also while this statement works.",
    bad: "BEGIN;\nCREATE TRIGGER copy_email BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION copy_email();\nUPDATE users SET email = name WHERE email IS NULL;\nCOMMIT;",
    good: "BEGIN;\nCREATE TRIGGER copy_email BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION copy_email();\nCOMMIT;\nUPDATE users SET email = name WHERE email IS NULL;",
    check(context) {
      const { before } = context;
      if (before === undefined || before.held.length === 0 || !isLongQuery(context)) return undefined;
      // ACCESS EXCLUSIVE has a rule of its own.
      if (before.held.some(({ mode }) => mode === "ACCESS EXCLUSIVE")) return undefined;
      const held = before.held.find(({ mode }) => blocksWrites(mode));
      return held === undefined
        ? undefined
        : {
            message: `${sqlName({ schema: undefined, name: held.table.name })} cannot be written since "${held.by}" while this statement works`,
            rewrite: "COMMIT;\n-- then this statement in the next transaction",
          };
    },
  }),
  defineLintRule({
    id: "wide-lock-window",
    title: "ACCESS EXCLUSIVE on several tables in one transaction without lock_timeout",
    severity: "info",
    isRecommended: true,
    why: "The first table stays locked while the second one is waited for, and a transaction that takes them in another order deadlocks.",
    bad: "BEGIN;\nALTER TABLE users ADD COLUMN a int;\nALTER TABLE orders ADD COLUMN b int;\nCOMMIT;",
    good: "ALTER TABLE users ADD COLUMN a int;\nALTER TABLE orders ADD COLUMN b int;",
    check(context) {
      const { before, state } = context;
      if (before === undefined || before.held.length === 0) return undefined;
      if ((state.settings.get("lock_timeout") ?? "0") !== "0") return undefined;
      const mine = context.effects.find(({ mode }) => mode === "ACCESS EXCLUSIVE")?.table;
      const other = before.held.find(({ mode, table }) => mode === "ACCESS EXCLUSIVE" && table !== mine);
      if (mine === undefined || other === undefined) return undefined;
      return {
        message: `${other.table.name} is locked already when ${mine.name} is locked`,
        rewrite: "COMMIT;\n-- one table in each transaction",
      };
    },
  }),
  defineLintRule({
    id: "merge-alter-table",
    title: "Several ALTER TABLEs of the same table",
    severity: "info",
    isRecommended: false,
    why: "One ALTER TABLE with several commands reads or rewrites the table once, and waits for its lock once.",
    bad: "ALTER TABLE users ALTER COLUMN a SET NOT NULL;\nALTER TABLE users ALTER COLUMN b SET NOT NULL;",
    good: "ALTER TABLE users ALTER COLUMN a SET NOT NULL, ALTER COLUMN b SET NOT NULL;",
    check({ action, effects, earlier, statement, transaction, isLive }) {
      if (!action.kind.startsWith("AT_") || action.kind === "AT_ValidateConstraint" || !isLive(action.table))
        return undefined;
      // In one transaction the lock is waited for once already.
      const reads = effects.some(({ scans }) => scans);
      if (!reads && transaction !== undefined) return undefined;
      const last = earlier().findLast(({ kind }) => kind !== "TransactionStmt");
      const isSame =
        last?.kind.startsWith("AT_") === true &&
        last.kind !== "AT_ValidateConstraint" &&
        last.table?.name === action.table?.name &&
        last.kind === action.kind;
      const commands = listOf(statement.node, "cmds");
      if (!isSame || commands.some(({ node }) => node["name"] === last.name)) return undefined;
      return {
        message: `${sqlName(action.table)} was just ${reads ? "read" : "locked"} by the ALTER TABLE before`,
        rewrite: "-- join both with a comma",
      };
    },
  }),
  defineLintRule({
    id: "missing-lock-timeout",
    title: "A strong lock without lock_timeout",
    severity: "warning",
    isRecommended: false,
    why: "Without a limit the statement waits behind the longest query, and everybody else waits behind the statement.",
    bad: "ALTER TABLE users ADD COLUMN email text;",
    good: "SET lock_timeout = '2s';\nALTER TABLE users ADD COLUMN email text;",
    check({ action, effects, state }) {
      if (READS.has(action.kind) || (state.settings.get("lock_timeout") ?? "0") !== "0") return undefined;
      const strong = effects.find(({ mode }) => blocksWrites(mode));
      if (strong === undefined) return undefined;
      return {
        message: `${strong.mode} on ${strong.table.name} without lock_timeout`,
        rewrite: "SET LOCAL lock_timeout = '2s';",
      };
    },
  }),
  defineLintRule({
    id: "lock-timeout-off",
    title: "A strong lock after lock_timeout was switched off",
    severity: "warning",
    isRecommended: true,
    why: "The limit that the role or the runner sets no longer holds: the statement waits behind the longest query, and everybody else behind the statement.",
    bad: "SET lock_timeout = 0;\nALTER TABLE users ADD COLUMN email text;",
    good: "SET lock_timeout = '2s';\nALTER TABLE users ADD COLUMN email text;",
    check(context) {
      if (!/^0+(?:us|ms|s|min|h|d)?$/.test(context.state.settings.get("lock_timeout") ?? "")) return undefined;
      const strong = context.effects.find(({ mode }) => blocksWrites(mode));
      return strong === undefined
        ? undefined
        : {
            message: `${strong.mode} on ${strong.table.name} is waited for without a limit`,
            rewrite: "SET lock_timeout = '2s';",
          };
    },
  }),
  defineLintRule({
    id: "missing-statement-timeout",
    title: "A strong lock without statement_timeout",
    severity: "info",
    isRecommended: false,
    why: "Without a limit a statement that takes longer than expected holds its lock as long.",
    bad: "ALTER TABLE users ADD COLUMN email text;",
    good: "SET statement_timeout = '5s';\nALTER TABLE users ADD COLUMN email text;",
    check({ effects, state }) {
      if ((state.settings.get("statement_timeout") ?? "0") !== "0") return undefined;
      const strong = effects.find(({ mode }) => blocksWrites(mode));
      if (strong === undefined) return undefined;
      return {
        message: `${strong.mode} on ${strong.table.name} without statement_timeout`,
        rewrite: "SET LOCAL statement_timeout = '5s';",
      };
    },
  }),
  defineLintRule({
    id: "missing-transaction-timeout",
    title: "A transaction with strong locks that may stay idle",
    severity: "info",
    isRecommended: false,
    why: "When the client stalls between two statements, its locks stay. transaction_timeout exists since PostgreSQL 17.",
    bad: "BEGIN;\nALTER TABLE users ADD COLUMN email text;\nCOMMIT;",
    good: "SET idle_in_transaction_session_timeout = '10s';\nBEGIN;\nALTER TABLE users ADD COLUMN email text;\nCOMMIT;",
    check({ effects, state, transaction, version }) {
      const { settings } = state;
      const isSet = ["idle_in_transaction_session_timeout", ...(version >= 17 ? ["transaction_timeout"] : [])].some(
        (name) => (settings.get(name) ?? "0") !== "0",
      );
      const strong = effects.find(({ mode }) => blocksWrites(mode));
      if (transaction === undefined || strong === undefined || isSet) return undefined;
      return {
        message: `${strong.mode} on ${strong.table.name} in a transaction that may stay idle`,
        rewrite: "SET LOCAL idle_in_transaction_session_timeout = '10s';",
      };
    },
  }),
  defineLintRule({
    id: "session-setting-leaks",
    on: ["VariableSetStmt"],
    title: "SET in a transaction outlives it",
    severity: "info",
    isRecommended: false,
    why: "Behind a pooler the next user of the connection gets the timeout; SET LOCAL ends with the transaction.",
    bad: "BEGIN;\nSET lock_timeout = '2s';\nALTER TABLE users ADD COLUMN email text;\nCOMMIT;",
    good: "BEGIN;\nSET LOCAL lock_timeout = '2s';\nALTER TABLE users ADD COLUMN email text;\nCOMMIT;",
    check({ action, transaction, statement }) {
      if (action.kind !== "VariableSetStmt" || transaction === undefined || action.node["is_local"] === true)
        return undefined;
      const name = textOf(action.node, "name") ?? "";
      if (action.node["kind"] !== "VAR_SET_VALUE" || !name.endsWith("_timeout")) return undefined;
      return {
        message: `${name} stays set after COMMIT`,
        rewrite: `${statement.text.replace(/^set\s+(?:session\s+)?/i, "SET LOCAL ")};`,
      };
    },
  }),
  opaqueStatement,
  defineLintRule({
    id: "prepared-transaction",
    on: ["TransactionStmt"],
    title: "PREPARE TRANSACTION",
    severity: "warning",
    isRecommended: true,
    why: "Its locks stay without a session, through restarts, and vacuum removes no row that died since, until somebody commits it by its name.",
    bad: "BEGIN;\nALTER TABLE users ADD COLUMN email text;\nPREPARE TRANSACTION 'users_email';",
    good: "BEGIN;\nALTER TABLE users ADD COLUMN email text;\nCOMMIT;",
    check({ action }) {
      if (action.kind !== "TransactionStmt" || action.node["kind"] !== "TRANS_STMT_PREPARE") return undefined;
      return { message: `${textOf(action.node, "gid") ?? "it"} is left open`, rewrite: "COMMIT;" };
    },
  }),
  defineLintRule({
    id: "not-rerunnable",
    on: ["IndexStmt", "CreateStmt", "DropStmt"],
    title: "A step without a transaction that cannot be run again",
    severity: "info",
    isRecommended: false,
    why: "When a later statement fails, the earlier ones stay, and the second run stops at them.",
    bad: "CREATE INDEX CONCURRENTLY users_email_idx ON users (email);",
    good: "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    check({ action, transaction, tool }) {
      const { kind, node } = action;
      const isGuarded = node["if_not_exists"] === true || node["missing_ok"] === true;
      const isCreate = ["IndexStmt", "CreateStmt", "DropStmt"].includes(kind);
      if (transaction !== undefined || isGuarded || !isCreate || (tool !== "plain" && !isConcurrent(action)))
        return undefined;
      return {
        message: "a second run stops here",
        rewrite: kind === "DropStmt" ? "-- DROP … IF EXISTS" : "-- CREATE … IF NOT EXISTS",
      };
    },
  }),
];
