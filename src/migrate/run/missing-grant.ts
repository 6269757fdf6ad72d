// What a role lacks when the server answers 42501: the GRANT as SQL, where the message and the catalog tell which.
import { identifier, InsufficientPrivilegeError, type Connection, type Row } from "../../postgres/index.ts";
import type { ScriptStatement } from "../sql-script.ts";

/** Rights that a statement asks of a table, by its parse node. */
const TABLE_RIGHTS: Readonly<Record<string, readonly string[]>> = {
  SelectStmt: ["SELECT"],
  InsertStmt: ["INSERT", "SELECT"],
  UpdateStmt: ["UPDATE", "SELECT"],
  DeleteStmt: ["DELETE", "SELECT"],
  MergeStmt: ["SELECT", "INSERT", "UPDATE", "DELETE"],
  TruncateStmt: ["TRUNCATE"],
  CreateTrigStmt: ["TRIGGER"],
  CreateStmt: ["REFERENCES"],
  AlterTableStmt: ["REFERENCES"],
  ViewStmt: ["SELECT"],
  CreateTableAsStmt: ["SELECT"],
  CopyStmt: ["SELECT", "INSERT"],
  LockStmt: ["UPDATE"],
};

const ROLE_ATTRIBUTES: Readonly<Record<string, string>> = { role: "CREATEROLE", database: "CREATEDB" };

interface RelationRow extends Row {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly missing: readonly string[];
}

const RELATION_SQL = `
SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
  ARRAY (
    SELECT r.name
    FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY AS r (name, number)
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT pg_catalog.has_table_privilege(c.oid, r.name)
    ORDER BY r.number
  ) AS missing
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = $1
ORDER BY c.oid IS DISTINCT FROM pg_catalog.to_regclass(pg_catalog.quote_ident($1)), pg_catalog.pg_table_is_visible(c.oid) DESC
LIMIT 1`;

const SCHEMA_SQL = `
SELECT pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
  ARRAY (
    SELECT r.name
    FROM pg_catalog.unnest('{USAGE,CREATE}'::text[]) WITH ORDINALITY AS r (name, number)
    WHERE NOT pg_catalog.has_schema_privilege(n.oid, r.name)
    ORDER BY r.number
  ) AS missing
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = $1`;

const OWNER_SQL: Readonly<Record<string, string>> = {
  schema:
    "SELECT pg_catalog.pg_get_userbyid(n.nspowner) AS owner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1",
  type: "SELECT pg_catalog.pg_get_userbyid(t.typowner) AS owner FROM pg_catalog.pg_type AS t WHERE t.typname = $1",
  function: "SELECT pg_catalog.pg_get_userbyid(p.proowner) AS owner FROM pg_catalog.pg_proc AS p WHERE p.proname = $1",
  extension:
    "SELECT pg_catalog.pg_get_userbyid(e.extowner) AS owner FROM pg_catalog.pg_extension AS e WHERE e.extname = $1",
  database:
    "SELECT pg_catalog.pg_get_userbyid(d.datdba) AS owner FROM pg_catalog.pg_database AS d WHERE d.datname = $1",
};

/**
 * The way out for a message of SQLSTATE 42501. The server names the object in the text only, so a server that answers in another
 * language is told about in general.
 *
 * @param message - e.g. `permission denied for schema shop`
 */
export async function missingGrant(
  connection: Pick<Connection, "query">,
  message: string,
  statement: Pick<ScriptStatement, "kind"> | undefined,
): Promise<string> {
  const { rows } = await connection.query<{ role: string; database: string }>(
    "SELECT CURRENT_USER AS role, pg_catalog.current_database() AS database",
  );
  const { role = "", database = "" } = rows[0] ?? {};
  const to = identifier(role);

  const [, deniedKind, denied] = /permission denied for ([a-z -]+?) "?([^"(]+?)"?(?: \(|$)/.exec(message) ?? [];
  if (deniedKind === "schema" && denied !== undefined) {
    const found = await connection.query<{ missing: readonly string[] }>(SCHEMA_SQL, [denied]);
    const missing = found.rows[0]?.missing ?? [];
    const rights = missing.length === 0 ? "USAGE, CREATE" : missing.join(", ");
    return `GRANT ${rights} ON SCHEMA ${identifier(denied)} TO ${to}`;
  }
  if (deniedKind === "database" && denied !== undefined)
    return `GRANT CREATE ON DATABASE ${identifier(denied)} TO ${to}`;
  if (deniedKind === "tablespace" && denied !== undefined)
    return `GRANT CREATE ON TABLESPACE ${identifier(denied)} TO ${to}`;
  if (deniedKind === "sequence" && denied !== undefined) {
    const relation = await relationNamed(connection, denied, []);
    return `GRANT USAGE, SELECT, UPDATE ON SEQUENCE ${relation?.sql ?? identifier(denied)} TO ${to}`;
  }
  if (deniedKind === "function" && denied !== undefined)
    return `GRANT EXECUTE ON FUNCTION ${identifier(denied)} TO ${to}`;
  if (deniedKind === "type" && denied !== undefined) return `GRANT USAGE ON TYPE ${identifier(denied)} TO ${to}`;
  if (deniedKind === "language" && denied !== undefined)
    return `GRANT USAGE ON LANGUAGE ${identifier(denied)} TO ${to}`;
  if (deniedKind !== undefined && denied !== undefined && /table|view|relation/.test(deniedKind)) {
    const relation = await relationNamed(connection, denied, TABLE_RIGHTS[statement?.kind ?? ""] ?? []);
    if (relation !== undefined && relation.missing.length > 0)
      return `GRANT ${relation.missing.join(", ")} ON ${relation.sql} TO ${to}`;
    if (relation !== undefined)
      return `as its owner ${relation.owner}, grant role ${role} the right on ${relation.sql} that the statement needs`;
  }

  const [, ownedKind, owned] =
    /must be (?:the )?owner of ([a-z -]+?) "?([^"(]+?)"?(?:\(|$| )/.exec(message.replace(/ \(SQLSTATE.*/, "")) ?? [];
  if (ownedKind !== undefined && owned !== undefined) {
    const owner = await ownerOf(connection, ownedKind, owned);
    if (owner !== undefined) return `GRANT ${identifier(owner)} TO ${to}, or run the migrations as ${owner}`;
  }

  const [, created] = /permission denied to create (role|database|extension)/.exec(message) ?? [];
  if (created === "extension")
    return `GRANT CREATE ON DATABASE ${identifier(database)} TO ${to} is enough for a trusted extension; any other one needs a superuser`;
  const attribute = ROLE_ATTRIBUTES[created ?? ""];
  if (attribute !== undefined) return `ALTER ROLE ${to} ${attribute}`;

  const [, other] =
    /(?:must be able to SET ROLE|must be member of role|permission denied to set role|permission denied to grant role) "([^"]+)"/.exec(
      message,
    ) ?? [];
  if (other !== undefined) return `GRANT ${identifier(other)} TO ${to}`;
  if (/superuser/.test(message)) return `run this migration as a superuser; role ${role} is none`;
  return `role ${role} lacks a right that the statement needs: grant it, or run the migrations as the owner`;
}

/**
 * Does what asks the history, and names the GRANT when the login may not.
 *
 * @throws what `work` throws; InsufficientPrivilegeError with the GRANT in its hint
 */
export async function withGrantNamed<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof InsufficientPrivilegeError) || error.hint !== undefined) throw error;
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    // A runner reads, adds, changes and deletes lines of its history, as MERGE may.
    const hint = await missingGrant(connection, error.message, { kind: "MergeStmt" });
    throw new InsufficientPrivilegeError(error.message, { sqlState: error.sqlState }, { cause: error, hint });
  }
}

async function relationNamed(
  connection: Pick<Connection, "query">,
  name: string,
  rights: readonly string[],
): Promise<{ readonly sql: string; readonly owner: string; readonly missing: readonly string[] } | undefined> {
  const { rows } = await connection.query<RelationRow>(RELATION_SQL, [name, rights]);
  const [row] = rows;
  return row === undefined
    ? undefined
    : { sql: identifier(row.schema, row.name), owner: row.owner, missing: row.missing };
}

async function ownerOf(connection: Pick<Connection, "query">, kind: string, name: string): Promise<string | undefined> {
  const sql = OWNER_SQL[kind];
  if (sql === undefined) return (await relationNamed(connection, name, []))?.owner;
  const { rows } = await connection.query<{ owner: string }>(sql, [name.split(".").at(-1)]);
  return rows[0]?.owner;
}
