// Indexes, partitions and the commands that write a table anew.
import { indexKeys, isConcurrent } from "../apply-statement.ts";
import type { ConstraintState, TableState } from "../batch-state.ts";
import {
  childOf,
  droppedNames,
  flagOf,
  hasOption,
  listOf,
  relationName,
  stringsOf,
  textOf,
  type Action,
} from "../syntax.ts";
import { defineLintRule, type LintRule } from "./rule.ts";
import { concurrently, sqlName, word } from "./words.ts";

const BLOCKS_WRITES = "Writes to the table wait until the index is built.";
const REWRITING: Readonly<Record<string, string>> = {
  AT_SetLogged: "SET LOGGED",
  AT_SetUnLogged: "SET UNLOGGED",
  AT_SetTableSpace: "SET TABLESPACE",
  "OBJECT_INDEX AT_SetTableSpace": "SET TABLESPACE",
  "OBJECT_MATVIEW AT_SetTableSpace": "SET TABLESPACE",
  AT_SetAccessMethod: "SET ACCESS METHOD",
  AT_SetExpression: "SET EXPRESSION",
};

/** Whether an index that is made later answers what the dropped one did, and none that stays does meanwhile. */
function isReplacement(
  next: Action,
  name: string,
  table: TableState | undefined,
  dropped: readonly { readonly name: string }[],
): boolean {
  const old = table?.indexes.get(name);
  if (table === undefined || old === undefined || next.table?.name !== table.name || old.keys.length === 0)
    return false;
  const covers = (keys: readonly string[]): boolean => old.keys.every((key, index) => keys[index] === key);
  const stays = [...table.indexes].some(
    ([other, index]) =>
      other !== name && !dropped.some((item) => item.name === other) && !index.isPartial && covers(index.keys),
  );
  return covers(indexKeys(next.node)) && !stays;
}

export const indexRules: readonly LintRule[] = [
  defineLintRule({
    id: "create-index-non-concurrent",
    on: ["IndexStmt"],
    title: "CREATE INDEX without CONCURRENTLY blocks writes",
    severity: "error",
    isRecommended: true,
    why: BLOCKS_WRITES,
    bad: "CREATE INDEX users_email_idx ON users (email);",
    good: "CREATE INDEX CONCURRENTLY users_email_idx ON users (email);",
    check({ action, statement, state, isLive }) {
      if (action.kind !== "IndexStmt" || isConcurrent(action) || action.table === undefined || !isLive(action.table))
        return undefined;
      const relation = childOf(action.node, "relation");
      if (relation !== undefined && relation["inh"] !== true) return undefined; // ON ONLY: the parent alone, no rows
      if (state.newViews.has(action.table.name)) return undefined;
      return {
        message: `SHARE on ${sqlName(action.table)} keeps writes waiting while the index is built`,
        rewrite: state.table(action.table).isPartitioned
          ? `-- a partitioned table refuses CONCURRENTLY:\n-- CREATE INDEX … ON ONLY ${sqlName(action.table)}, CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION`
          : concurrently(statement.text, /^create\s+(?:unique\s+)?index/i),
      };
    },
  }),
  defineLintRule({
    id: "concurrently-on-partitioned",
    on: ["IndexStmt"],
    title: "CREATE INDEX CONCURRENTLY on a partitioned table",
    severity: "error",
    isRecommended: true,
    why: "PostgreSQL refuses it (0A000): only the partitions' indexes can be built concurrently.",
    bad: "CREATE TABLE events (at date) PARTITION BY RANGE (at);\nCREATE INDEX CONCURRENTLY events_at_idx ON events (at);",
    good: "CREATE TABLE events (at date) PARTITION BY RANGE (at);\nCREATE INDEX events_at_idx ON ONLY events (at);",
    check({ action, state }) {
      if (!isConcurrent(action) || action.table === undefined || !state.table(action.table).isPartitioned)
        return undefined;
      const table = sqlName(action.table);
      return {
        message: `${table} is partitioned: CONCURRENTLY is refused`,
        rewrite: `-- CREATE INDEX … ON ONLY ${table}, CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION`,
      };
    },
  }),
  defineLintRule({
    id: "drop-index-non-concurrent",
    on: ["DropStmt"],
    title: "DROP INDEX without CONCURRENTLY locks the table",
    severity: "warning",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE on the table: it waits for every running query, and all that come later wait for it.",
    bad: "DROP INDEX users_email_idx;",
    good: "DROP INDEX CONCURRENTLY users_email_idx;",
    check({ action, statement, state, isLive, earlier }) {
      if (action.kind !== "DropStmt" || action.node["removeType"] !== "OBJECT_INDEX" || isConcurrent(action))
        return undefined;
      const names = droppedNames(action.node).filter((index) => {
        const table = state.tableOfIndex(index.name);
        // An index of a partitioned table cannot be dropped concurrently.
        if (table !== undefined) return isLive(table) && !table.isPartitioned;
        // One that went with its constraint is no more there.
        const isGone = earlier().some(({ kind, name }) => kind === "AT_DropConstraint" && name === index.name);
        return !isGone && !state.isInMadeSchema(index);
      });
      if (names.length === 0) return undefined;
      return {
        message: `the table of ${names.map(sqlName).join(", ")} is locked against reads and writes`,
        rewrite: concurrently(statement.text, /^drop\s+index/i),
      };
    },
  }),
  defineLintRule({
    id: "reindex-non-concurrent",
    on: ["ReindexStmt"],
    title: "REINDEX without CONCURRENTLY blocks writes",
    severity: "error",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE on the index and SHARE on the table while it is built.",
    bad: "REINDEX INDEX users_email_idx;",
    good: "REINDEX INDEX CONCURRENTLY users_email_idx;",
    check({ action, statement, isLive }) {
      if (action.kind !== "ReindexStmt" || isConcurrent(action)) return undefined;
      if (action.node["kind"] === "REINDEX_OBJECT_SYSTEM") return undefined;
      if (action.node["kind"] === "REINDEX_OBJECT_TABLE" && !isLive(action.table)) return undefined;
      return {
        message: "queries that use the index and writes to its table wait",
        rewrite: concurrently(statement.text, /^reindex\s*(?:\([^)]*\)\s*)?(?:index|table|schema|database)/i),
      };
    },
  }),
  defineLintRule({
    id: "refresh-view-non-concurrent",
    on: ["RefreshMatViewStmt"],
    title: "REFRESH MATERIALIZED VIEW without CONCURRENTLY blocks readers",
    severity: "warning",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE on the view while its query runs. CONCURRENTLY needs a unique index on it. WITH NO DATA makes queries of the view fail with 55000.",
    bad: "REFRESH MATERIALIZED VIEW totals;",
    good: "REFRESH MATERIALIZED VIEW CONCURRENTLY totals;",
    check({ action, statement, state }) {
      if (action.kind !== "RefreshMatViewStmt" || isConcurrent(action)) return undefined;
      if (state.newViews.has(action.table?.name ?? "")) return undefined;
      if (flagOf(action.node, "skipData"))
        return {
          message: `${sqlName(action.table)} cannot be read until it is refreshed with data`,
          rewrite: `REFRESH MATERIALIZED VIEW CONCURRENTLY ${sqlName(action.table)};`,
        };
      return {
        message: `readers of ${sqlName(action.table)} wait until its query has run`,
        rewrite: `${statement.text.replace(/^refresh\s+materialized\s+view/i, (found) => `${found} CONCURRENTLY`)};`,
      };
    },
  }),
  defineLintRule({
    id: "detach-partition-non-concurrent",
    on: ["AT_DetachPartition"],
    title: "DETACH PARTITION without CONCURRENTLY locks the parent",
    severity: "error",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE on the parent and the partition.",
    bad: "ALTER TABLE events DETACH PARTITION events_2020;",
    good: "ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY;",
    check({ action, state, isLive }) {
      if (
        action.kind !== "AT_DetachPartition" ||
        isConcurrent(action) ||
        !isLive(action.table) ||
        action.table === undefined
      )
        return undefined;
      if (state.table(action.table).hasDefaultPartition) return undefined; // refused beside a default partition
      const child = relationName(childOf(action.node, "name"));
      return {
        message: `${sqlName(action.table)} and ${sqlName(child)} are locked against reads and writes`,
        rewrite: `-- outside a transaction:\nALTER TABLE ${sqlName(action.table)} DETACH PARTITION ${sqlName(child)} CONCURRENTLY;`,
      };
    },
  }),
  defineLintRule({
    id: "attach-partition-scan",
    on: ["AT_AttachPartition"],
    title: "ATTACH PARTITION reads the partition, and the default partition",
    severity: "warning",
    isRecommended: true,
    why: "The rows are checked against the bound under ACCESS EXCLUSIVE on the partition, unless a validated CHECK implies the bound; those of a default partition too.",
    bad: "ALTER TABLE events ATTACH PARTITION events_2020 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');",
    good: "ALTER TABLE events_2020 ADD CONSTRAINT bound CHECK (at >= '2020-01-01' AND at < '2021-01-01') NOT VALID;\nALTER TABLE events_2020 VALIDATE CONSTRAINT bound;\nALTER TABLE events ATTACH PARTITION events_2020 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');",
    check({ action, state, isLive }) {
      if (action.kind !== "AT_AttachPartition" || action.table === undefined) return undefined;
      const child = relationName(childOf(action.node, "name"));
      if (child === undefined) return undefined;
      const isFilledHere = state.find(child)?.isFilled === true && isLive(action.table);
      if (!isLive(child) && !isFilledHere) return undefined;
      const key = state.table(action.table).partitionKey ?? [];
      const isProof = ({ kind, columns, isValidated, isToldByName = false }: ConstraintState): boolean =>
        kind === "check" && isValidated && (isToldByName || key.every((column) => columns.includes(column)));
      if ([...state.table(child).constraints.values()].some((constraint) => isProof(constraint))) return undefined;
      return {
        message: `all of ${sqlName(child)} is read under ACCESS EXCLUSIVE${isFilledHere ? ", which a default partition is locked in meanwhile" : ""}`,
        rewrite: `ALTER TABLE ${sqlName(child)} ADD CONSTRAINT bound CHECK (…) NOT VALID;\n-- then, in a transaction of its own:\nALTER TABLE ${sqlName(child)} VALIDATE CONSTRAINT bound;\n-- then ATTACH PARTITION, then drop the CHECK`,
      };
    },
  }),
  defineLintRule({
    id: "create-partition-locks-parent",
    on: ["CreateStmt"],
    title: "CREATE TABLE … PARTITION OF locks the parent",
    severity: "warning",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE on the parent, and the default partition is read under it; ATTACH PARTITION takes SHARE UPDATE EXCLUSIVE only.",
    bad: "CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');",
    good: "CREATE TABLE events_2027 (LIKE events INCLUDING ALL);\nALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');",
    check({ action, isLive }) {
      if (action.kind !== "CreateStmt" || childOf(action.node, "partbound") === undefined) return undefined;
      const parent = relationName(listOf(action.node, "inhRelations")[0]?.node);
      if (parent === undefined || !isLive(parent)) return undefined;
      return {
        message: `${sqlName(parent)} is locked against reads and writes`,
        rewrite: `CREATE TABLE ${sqlName(action.table)} (LIKE ${sqlName(parent)} INCLUDING ALL);\nALTER TABLE ${sqlName(parent)} ATTACH PARTITION ${sqlName(action.table)} …;`,
      };
    },
  }),
  defineLintRule({
    id: "rewrite-maintenance",
    on: ["VacuumStmt", "ClusterStmt", "AlterTableMoveAllStmt", ...Object.keys(REWRITING)],
    title: "VACUUM FULL, CLUSTER, SET LOGGED, SET TABLESPACE and the like write the table anew",
    severity: "error",
    isRecommended: true,
    why: "ACCESS EXCLUSIVE while the whole table, index or materialized view is copied.",
    bad: "VACUUM FULL users;",
    good: "VACUUM users;",
    check({ action, isLive, state }) {
      const { kind, node } = action;
      const rewrite = "-- pg_repack, or a new table that is filled in batches and swapped";
      const from = textOf(node, "orig_tablespacename");
      if (from !== undefined) {
        const to = textOf(node, "new_tablespacename");
        return from === to ? undefined : { message: `everything of ${from} is copied under ACCESS EXCLUSIVE`, rewrite };
      }
      // An index is not in the tables; one that is not known is in use.
      const index = kind === "OBJECT_INDEX AT_SetTableSpace" ? state.tableOfIndex(action.table?.name ?? "") : undefined;
      if (index?.isNew === true || (kind.startsWith("OBJECT_MATVIEW") && state.newViews.has(action.table?.name ?? "")))
        return undefined;
      const what =
        kind === "VacuumStmt" && hasOption(node, "options", "full")
          ? "VACUUM FULL"
          : kind === "ClusterStmt"
            ? "CLUSTER"
            : REWRITING[kind];
      if (what === undefined) return undefined;
      const tables =
        kind === "VacuumStmt"
          ? listOf(node, "rels").map(({ node: rel }) => relationName(childOf(rel, "relation")))
          : [action.table];
      const live = tables.filter((table) => table === undefined || isLive(table));
      if (live.length === 0 && tables.length > 0) return undefined;
      return {
        message: `${what} copies ${live.map(sqlName).join(", ") || "every table"} under ACCESS EXCLUSIVE`,
        rewrite,
      };
    },
  }),
  defineLintRule({
    id: "replace-index-gap",
    on: ["DropStmt"],
    title: "An index is dropped before its replacement is there",
    severity: "warning",
    isRecommended: true,
    why: "Until the new one is built, queries read the whole table.",
    bad: "DROP INDEX CONCURRENTLY users_name_idx;\nCREATE INDEX CONCURRENTLY users_name_idx ON users (name, id);",
    good: "CREATE INDEX CONCURRENTLY users_name_id_idx ON users (name, id);\nDROP INDEX CONCURRENTLY users_name_idx;",
    check({ action, later, isLive, state }) {
      if (action.kind !== "DropStmt" || action.node["removeType"] !== "OBJECT_INDEX") return undefined;
      return droppedNames(action.node).flatMap(({ name }) => {
        const table = state.tableOfIndex(name);
        if (table !== undefined && !isLive(table)) return [];
        const again = later().find(
          (next) =>
            next.kind === "IndexStmt" &&
            (textOf(next.node, "idxname") === name || isReplacement(next, name, table, droppedNames(action.node))),
        );
        if (again === undefined || !isLive(again.table)) return [];
        if (flagOf(action.node, "missing_ok") && textOf(again.node, "idxname") === name) return [];
        const temporary = word(`${name}_old`);
        return [
          {
            message: `${name} is dropped first and built again later`,
            rewrite: `ALTER INDEX ${word(name)} RENAME TO ${temporary};\n-- build the new one CONCURRENTLY, then:\nDROP INDEX CONCURRENTLY ${temporary};`,
          },
        ];
      });
    },
  }),
  defineLintRule({
    id: "concurrent-index-if-not-exists",
    on: ["IndexStmt"],
    title: "IF NOT EXISTS hides an invalid index",
    severity: "info",
    isRecommended: false,
    why: "A CREATE INDEX CONCURRENTLY that failed leaves an INVALID index of that name, and IF NOT EXISTS then skips building it.",
    bad: "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    good: "DROP INDEX CONCURRENTLY IF EXISTS users_email_idx;\nCREATE INDEX CONCURRENTLY users_email_idx ON users (email);",
    check({ action }) {
      if (action.kind !== "IndexStmt" || !isConcurrent(action) || !flagOf(action.node, "if_not_exists"))
        return undefined;
      const name = word(textOf(action.node, "idxname") ?? "");
      return {
        message: `an INVALID ${name} of a run before stays as it is`,
        rewrite: `DROP INDEX CONCURRENTLY IF EXISTS ${name};\n-- then CREATE INDEX CONCURRENTLY without IF NOT EXISTS`,
      };
    },
  }),
  defineLintRule({
    id: "wide-index",
    on: ["IndexStmt"],
    title: "A non-unique index on more than three columns",
    severity: "info",
    isRecommended: true,
    why: "Columns after the third rarely narrow a search, and every write keeps them up.",
    bad: "CREATE INDEX CONCURRENTLY users_wide_idx ON users (a, b, c, d);",
    good: "CREATE INDEX CONCURRENTLY users_narrow_idx ON users (a, b, c);",
    check({ action, isLive }) {
      if (action.kind !== "IndexStmt" || flagOf(action.node, "unique") || !isLive(action.table)) return undefined;
      const keys = listOf(action.node, "indexParams");
      const method = textOf(action.node, "accessMethod") ?? "btree";
      if (keys.length <= 3 || method !== "btree") return undefined;
      return {
        message: `the index has ${keys.length} columns`,
        rewrite: "-- keep the columns that narrow the search; the others may go to INCLUDE",
      };
    },
  }),
  defineLintRule({
    id: "duplicate-index-column",
    on: ["IndexStmt"],
    title: "An index names a column twice",
    severity: "warning",
    isRecommended: true,
    why: "The second mention narrows nothing and costs space.",
    bad: "CREATE INDEX CONCURRENTLY i ON users (a, a);",
    good: "CREATE INDEX CONCURRENTLY i ON users (a, b);",
    check({ action }) {
      if (action.kind !== "IndexStmt") return undefined;
      const seen = new Set<string>();
      const twice = listOf(action.node, "indexParams").flatMap(({ node }) => {
        const key = JSON.stringify([node["name"], stringsOf(node, "opclass")]);
        const isTwice = node["name"] !== undefined && seen.has(key);
        seen.add(key);
        return isTwice ? [String(node["name"])] : [];
      });
      return twice.length === 0
        ? undefined
        : { message: `${twice.join(", ")} is named twice`, rewrite: "-- name each column once" };
    },
  }),
];
