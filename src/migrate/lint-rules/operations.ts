// Statements that change how the server works rather than what the schema is: locks, triggers off, replication, settings.
import { childOf, flagOf, hasOption, listOf, relationName, stringsOf, textOf, walk } from "../syntax.ts";
import { blocksWrites, LOCK_MODES } from "../locks.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
import { sqlName, word } from "./words.ts";

/** Rules, too; those that fire in replication only are off for everybody else. */
const SWITCHED_OFF = /^AT_(?:DisableTrig|DisableRule|EnableReplicaTrig|EnableReplicaRule)/;

/** What is on in replication too: a row that is replicated has the effects of its first write already. */
const ALWAYS_ON = /^AT_EnableAlways(?:Trig|Rule)/;

/** As people and tools name primary keys, where the table is not known. */
const PRIMARY_KEY_NAME = /(?:_pkey|_pk)$|^pk_|primary_?key/i;

export const operationRules: readonly LintRule[] = [
  defineLintRule({
    id: "lock-table",
    on: ["LockStmt"],
    title: "LOCK TABLE in a mode that keeps others from writing",
    severity: "warning",
    isRecommended: true,
    why: "The lock is held until COMMIT, whatever the statements after it need.",
    bad: "BEGIN;\nLOCK TABLE users IN ACCESS EXCLUSIVE MODE;\nCOMMIT;",
    good: "BEGIN;\nLOCK TABLE users IN ROW EXCLUSIVE MODE;\nCOMMIT;",
    check({ action, isLive }) {
      if (action.kind !== "LockStmt") return undefined;
      const mode = LOCK_MODES[Number(action.node["mode"] ?? 8) - 1] ?? "ACCESS EXCLUSIVE";
      const names = listOf(action.node, "relations")
        .flatMap(({ node }) => relationName(node) ?? [])
        .filter((name) => isLive(name));
      if (!blocksWrites(mode) || names.length === 0) return undefined;
      return {
        message: `${names.map(sqlName).join(", ")} is locked in ${mode} MODE until COMMIT`,
        rewrite:
          "-- let each statement take the lock that it needs; pg_advisory_xact_lock() keeps out other runs of yours",
      };
    },
  }),
  defineLintRule({
    id: "disable-trigger",
    title: "Triggers or rules are switched off, or on in replication",
    severity: "warning",
    isRecommended: true,
    why: "Writes of everybody pass by them until they are switched on again; ALL includes the triggers that keep foreign keys. ENABLE ALWAYS runs them a second time where rows are replicated.",
    bad: "ALTER TABLE users DISABLE TRIGGER ALL;",
    good: "ALTER TABLE users ENABLE TRIGGER ALL;",
    check({ action, isLive, statement }) {
      if (SWITCHED_OFF.test(action.kind) && isLive(action.table)) {
        return {
          message: `${action.name === undefined ? "the triggers" : `the ${action.kind.includes("Rule") ? "rule" : "trigger"} ${action.name}`} of ${sqlName(action.table)} no longer run`,
          rewrite: "-- leave it on, and let its function return early for what this migration writes",
        };
      }
      if (ALWAYS_ON.test(action.kind) && isLive(action.table)) {
        return {
          message: `the ${action.kind.includes("Rule") ? "rule" : "trigger"} ${action.name ?? ""} of ${sqlName(action.table)} now runs for replicated rows too`,
          rewrite: "-- plain ENABLE, unless the subscriber needs what it does",
        };
      }
      if (action.kind !== "VariableSetStmt" || textOf(action.node, "name") !== "session_replication_role")
        return undefined;
      return /\breplica\b/i.test(statement.text)
        ? {
            message: "no trigger runs and no foreign key is checked in this session",
            rewrite: "-- write rows in an order that the foreign keys allow",
          }
        : undefined;
    },
  }),
  defineLintRule({
    id: "replica-identity-nothing",
    on: ["AT_ReplicaIdentity"],
    title: "REPLICA IDENTITY NOTHING",
    severity: "error",
    isRecommended: true,
    why: "UPDATE and DELETE fail on a table that is published, and subscribers can no longer find the rows.",
    bad: "ALTER TABLE users REPLICA IDENTITY NOTHING;",
    good: "ALTER TABLE users REPLICA IDENTITY DEFAULT;",
    check({ action, isLive }) {
      if (action.kind !== "AT_ReplicaIdentity" || action.node["identity_type"] !== "n" || !isLive(action.table))
        return undefined;
      return {
        message: `rows of ${sqlName(action.table)} have no identity for replication`,
        rewrite: `ALTER TABLE ${sqlName(action.table)} REPLICA IDENTITY DEFAULT;`,
      };
    },
  }),
  defineLintRule({
    id: "replica-identity-full",
    on: ["AT_ReplicaIdentity"],
    title: "REPLICA IDENTITY FULL",
    severity: "warning",
    isRecommended: true,
    why: "Every UPDATE and DELETE writes the whole old row to the log, and a subscriber without a fitting index reads its whole table for each.",
    bad: "ALTER TABLE users REPLICA IDENTITY FULL;",
    good: "ALTER TABLE users REPLICA IDENTITY USING INDEX users_email_key;",
    check({ action, isLive }) {
      if (action.kind !== "AT_ReplicaIdentity" || action.node["identity_type"] !== "f" || !isLive(action.table))
        return undefined;
      return {
        message: `whole rows of ${sqlName(action.table)} identify it in replication`,
        rewrite: `ALTER TABLE ${sqlName(action.table)} REPLICA IDENTITY DEFAULT;\n-- or USING INDEX, with a unique index on columns that are NOT NULL`,
      };
    },
  }),
  defineLintRule({
    id: "drop-primary-key",
    on: ["AT_DropConstraint"],
    title: "A primary key or unique constraint is dropped",
    severity: "warning",
    isRecommended: true,
    why: "Duplicates can be written from then on, ON CONFLICT of its columns fails, and without a primary key logical replication refuses UPDATE and DELETE.",
    bad: "ALTER TABLE users DROP CONSTRAINT users_pkey;",
    good: "ALTER TABLE users DROP CONSTRAINT users_pkey, ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_new_idx;",
    check({ action, state, isLive, statement, later }) {
      if (action.kind !== "AT_DropConstraint" || action.table === undefined || !isLive(action.table)) return undefined;
      const name = action.name ?? "";
      const kind =
        state.table(action.table).constraints.get(name)?.kind ??
        (PRIMARY_KEY_NAME.test(name) ? "primary key" : undefined);
      if (kind !== "primary key" && kind !== "unique") return undefined;
      const contype = kind === "primary key" ? "CONSTR_PRIMARY" : "CONSTR_UNIQUE";
      const isReplaced =
        listOf(statement.node, "cmds").some(({ node }) => childOf(node, "def")?.["contype"] === contype) ||
        later().some((next) => next.node["contype"] === contype && next.table?.name === action.table?.name);
      return isReplaced
        ? undefined
        : {
            message: `the ${kind} ${name} of ${sqlName(action.table)} no longer holds`,
            rewrite: `-- build its replacement first, then in one statement:\nALTER TABLE ${sqlName(action.table)} DROP CONSTRAINT ${word(name)}, ADD CONSTRAINT … ${kind.toUpperCase()} USING INDEX …;`,
          };
    },
  }),
  defineLintRule({
    id: "autovacuum-off",
    on: ["AT_SetRelOptions", "CreateStmt"],
    title: "Autovacuum is switched off for a table",
    severity: "warning",
    isRecommended: true,
    why: "Dead rows stay and statistics age until somebody remembers; the forced vacuum against wraparound comes at the worst time.",
    bad: "ALTER TABLE users SET (autovacuum_enabled = false);",
    good: "ALTER TABLE users SET (autovacuum_vacuum_scale_factor = 0.01);",
    check({ action }) {
      const options =
        action.kind === "AT_SetRelOptions"
          ? listOf(action.node, "items")
          : action.kind === "CreateStmt"
            ? listOf(action.node, "options")
            : [];
      const isOff = options.some(({ node }) => {
        const value = childOf(node, "arg");
        const said = textOf(value, "sval") ?? (value === undefined ? "true" : String(flagOf(value, "boolval")));
        return textOf(node, "defname") === "autovacuum_enabled" && /^(?:f|false|off|no|n|0)$/i.test(said);
      });
      return isOff
        ? {
            message: `${sqlName(action.table)} is no longer vacuumed by itself`,
            rewrite: `ALTER TABLE ${sqlName(action.table)} SET (autovacuum_vacuum_cost_delay = 10);`,
          }
        : undefined;
    },
  }),
  defineLintRule({
    id: "system-catalog-write",
    on: ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"],
    title: "The system catalogs are written directly",
    severity: "error",
    isRecommended: true,
    why: "The server checks nothing: one wrong row and tables can no longer be read. Removing an enum value so breaks rows and indexes that hold it.",
    bad: "DELETE FROM pg_enum WHERE enumlabel = 'calm';",
    good: "ALTER TYPE mood ADD VALUE 'calm';",
    check({ action }) {
      if (!["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"].includes(action.kind)) return undefined;
      const { table } = action;
      const isCatalog =
        table?.schema === "pg_catalog" || (table?.schema === undefined && table?.name.startsWith("pg_"));
      return isCatalog === true
        ? {
            message: `${sqlName(table)} is written directly`,
            rewrite: "-- use the statement that the manual has for it",
          }
        : undefined;
    },
  }),
  defineLintRule({
    id: "server-setting",
    on: ["AlterSystemStmt", "AlterDatabaseSetStmt", "AlterRoleSetStmt"],
    title: "A setting of the server, a database or a role changes",
    severity: "warning",
    isRecommended: true,
    why: "It is not undone by a rollback of the migration's work, and every later session of every program gets it.",
    bad: "ALTER SYSTEM SET timezone = 'UTC';",
    good: "SET timezone = 'UTC';",
    check({ action }) {
      const what = {
        AlterSystemStmt: "of the server",
        AlterDatabaseSetStmt: "of the database",
        AlterRoleSetStmt: "of the role",
      }[action.kind];
      if (what === undefined) return undefined;
      const name = textOf(childOf(action.node, "setstmt"), "name") ?? "every setting";
      return { message: `${name} ${what} changes`, rewrite: "-- in the server's configuration, reviewed on its own" };
    },
  }),
  defineLintRule({
    id: "session-advisory-lock",
    on: ["SelectStmt"],
    title: "An advisory lock of the session",
    severity: "info",
    isRecommended: false,
    why: "Behind a pooler in transaction mode the lock stays with a connection that others use, and its unlock may go to another one.",
    bad: "SELECT pg_advisory_lock(42);",
    good: "SELECT pg_advisory_xact_lock(42);",
    check({ action, statement }) {
      if (action.kind !== "SelectStmt") return undefined;
      let found: string | undefined;
      walk([statement.node], (kind, node) => {
        const name = kind === "FuncCall" ? (stringsOf(node, "funcname").at(-1) ?? "") : "";
        if (/^pg_(?:try_)?advisory_(?:lock|unlock)(?:_shared|_all)?$/.test(name)) found ??= name;
      });
      return found === undefined
        ? undefined
        : { message: `${found}() belongs to the session`, rewrite: "SELECT pg_advisory_xact_lock(…);" };
    },
  }),
  defineLintRule({
    id: "missing-application-name",
    title: "A strong lock without application_name",
    severity: "info",
    isRecommended: false,
    why: "Whoever finds the lock in pg_stat_activity does not see that it is a migration.",
    bad: "ALTER TABLE users ADD COLUMN email text;",
    good: "SET application_name = 'migration';\nALTER TABLE users ADD COLUMN email text;",
    check({ effects, state }) {
      const strong = effects.find(({ mode }) => blocksWrites(mode));
      if (strong === undefined || state.settings.has("application_name")) return undefined;
      return {
        message: `${strong.mode} on ${strong.table.name} by a session without a name`,
        rewrite: "SET application_name = 'migration';",
      };
    },
  }),
  defineLintRule({
    id: "concurrent-index-corruption",
    on: ["IndexStmt", "ReindexStmt"],
    title: "CREATE INDEX CONCURRENTLY of PostgreSQL 14.0 to 14.3 may miss rows",
    severity: "error",
    isRecommended: true,
    why: "Rows written while it runs may be left out of the index; 14.4 mends it. Told where the exact version is known (--database).",
    bad: "-- given PostgreSQL 14.3\nCREATE INDEX CONCURRENTLY users_email_idx ON users (email);",
    good: "-- given PostgreSQL 14.4\nCREATE INDEX CONCURRENTLY users_email_idx ON users (email);",
    check({ action, exactVersion }) {
      const isConcurrent =
        (action.kind === "IndexStmt" && flagOf(action.node, "concurrent")) ||
        (action.kind === "ReindexStmt" && hasOption(action.node, "params", "concurrently"));
      if (!isConcurrent || exactVersion === undefined || exactVersion < 140_000 || exactVersion > 140_003)
        return undefined;
      return {
        message: `the server is 14.${exactVersion - 140_000}: the index may miss rows`,
        rewrite:
          "-- first update the server to 14.4 or later; check old ones: SELECT bt_index_check(…, heapallindexed => true)",
      };
    },
  }),
];
