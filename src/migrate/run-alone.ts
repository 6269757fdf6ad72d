// Statements that PostgreSQL refuses inside a transaction block.
import { isConcurrent } from "./apply-statement.ts";
import type { Action } from "./syntax.ts";

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
  const names: Readonly<Record<string, string>> = {
    AlterSystemStmt: "ALTER SYSTEM",
    CreatedbStmt: "CREATE DATABASE",
    DropdbStmt: "DROP DATABASE",
    CreateTableSpaceStmt: "CREATE TABLESPACE",
    DropTableSpaceStmt: "DROP TABLESPACE",
  };
  return names[kind];
}
