// Statements that PostgreSQL refuses inside a transaction block.
import { isConcurrent } from "./apply-statement.ts";
import { hasOption, listOf, textOf, type Action, type Node } from "./syntax.ts";

/** Why a statement is refused inside BEGIN (25001); `undefined` when it is not. */
export function refusedInTransaction(action: Action): string | undefined {
  const { kind, node } = action;
  if (kind === "IndexStmt" && isConcurrent(action)) return "CREATE INDEX CONCURRENTLY";
  if (kind === "DropStmt" && isConcurrent(action)) return "DROP INDEX CONCURRENTLY";
  if (
    kind === "ReindexStmt" &&
    (isConcurrent(action) ||
      ["REINDEX_OBJECT_DATABASE", "REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM"].includes(String(node["kind"])))
  )
    return isConcurrent(action) ? "REINDEX CONCURRENTLY" : "REINDEX of a schema or database";
  if (kind === "AT_DetachPartition" && isConcurrent(action)) return "DETACH PARTITION CONCURRENTLY";
  if (kind === "VacuumStmt" && node["is_vacuumcmd"] === true) return "VACUUM";
  if (kind === "ClusterStmt" && action.table === undefined) return "CLUSTER of all tables";
  if (kind === "CreateSubscriptionStmt" && !isOff(node, "create_slot") && !isOff(node, "connect"))
    return "CREATE SUBSCRIPTION with a slot";
  if (kind === "AlterSubscriptionStmt" && refreshes(node)) return "ALTER SUBSCRIPTION that refreshes";
  if (kind === "AlterDatabaseStmt" && hasOption(node, "options", "tablespace")) return "ALTER DATABASE SET TABLESPACE";
  if (kind === "DiscardStmt" && node["target"] === "DISCARD_ALL") return "DISCARD ALL";
  const names: Readonly<Record<string, string>> = {
    AlterSystemStmt: "ALTER SYSTEM",
    CreatedbStmt: "CREATE DATABASE",
    DropdbStmt: "DROP DATABASE",
    DropSubscriptionStmt: "DROP SUBSCRIPTION with a slot",
    CreateTableSpaceStmt: "CREATE TABLESPACE",
    DropTableSpaceStmt: "DROP TABLESPACE",
  };
  return names[kind];
}

/** Whether an option is there and switched off. */
function isOff(node: Node, name: string): boolean {
  const isSaid = listOf(node, "options").some(({ node: option }) => textOf(option, "defname") === name);
  return isSaid && !hasOption(node, "options", name);
}

/** A subscription that asks the publisher for its tables, or changes how its slot works. */
function refreshes(node: Node): boolean {
  const kind = textOf(node, "kind") ?? "";
  if (/_(?:SET|ADD|DROP)_PUBLICATION$/.test(kind)) return !isOff(node, "refresh");
  return (
    kind === "ALTER_SUBSCRIPTION_REFRESH" ||
    (kind === "ALTER_SUBSCRIPTION_OPTIONS" &&
      listOf(node, "options").some(({ node: option }) =>
        ["two_phase", "failover"].includes(textOf(option, "defname") ?? ""),
      ))
  );
}
