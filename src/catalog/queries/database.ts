// The database itself, its schemas and its extensions.
import type { Extension, Schema } from "../model.ts";
import { isUserSchema, joinComment, joinExtension, optional, rowsOf, type Part } from "./family.ts";

export function databaseName(): Part<string> {
  const text = "SELECT pg_catalog.current_database() AS name";
  return { statement: { text }, map: (result) => rowsOf<{ name: string }>(result)[0]?.name ?? "" };
}

const SCHEMAS_SQL = `
SELECT n.nspname AS name, pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
  description.description AS comment, extension.extname AS extension
FROM pg_catalog.pg_namespace AS n
${joinComment("pg_namespace", "n.oid")}
${joinExtension("pg_namespace", "n.oid")}
WHERE ${isUserSchema("n")}
ORDER BY n.nspname`;

interface SchemaRow {
  readonly name: string;
  readonly owner: string;
  readonly comment: string | null;
  readonly extension: string | null;
}

/** All schemas that are not the system's, whichever were asked for. */
export function schemas(): Part<readonly Schema[]> {
  return {
    statement: { text: SCHEMAS_SQL },
    map: (result) =>
      rowsOf<SchemaRow>(result).map((row) => ({
        name: row.name,
        owner: row.owner,
        comment: optional(row.comment),
        extension: optional(row.extension),
      })),
  };
}

const EXTENSIONS_SQL = `
SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema, e.extrelocatable AS "isRelocatable",
  description.description AS comment,
  usual.comment AS "usualComment", usual.default_version AS "usualVersion"
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
${joinComment("pg_extension", "e.oid")}
LEFT JOIN LATERAL (
  SELECT a.comment, a.default_version
  FROM pg_catalog.pg_available_extensions() AS a
  WHERE e.extname <> 'plpgsql' AND a.name = e.extname) AS usual ON true
ORDER BY e.extname`;

interface ExtensionRow {
  readonly name: string;
  readonly version: string;
  readonly schema: string;
  readonly isRelocatable: boolean;
  readonly comment: string | null;
  readonly usualComment: string | null;
  readonly usualVersion: string | null;
}

/** All extensions: they belong to the database, so a choice of schemas does not narrow them. */
export function extensions(): Part<readonly Omit<Extension, "grants" | "members" | "dependents" | "comments">[]> {
  return {
    statement: { text: EXTENSIONS_SQL },
    map: (result) =>
      rowsOf<ExtensionRow>(result).map((row) => ({
        ...row,
        comment: optional(row.comment),
        usualComment: optional(row.usualComment),
        usualVersion: optional(row.usualVersion),
      })),
  };
}
