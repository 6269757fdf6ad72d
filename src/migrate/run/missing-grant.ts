// What a role lacks when the server answers 42501: the GRANT as SQL, found by holding what the statement asks for against the rights
// that the role has. An English message, where there is one, says which of them it is.
import { identifier, InsufficientPrivilegeError, type Connection, type Row } from "../../postgres/index.ts";
import type { Name } from "../syntax.ts";
import type { AskedRight, OwnedKind } from "./asked-rights.ts";
import type { HistoryTable } from "./run-options.ts";

interface RelationRow extends Row {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly isOwner: boolean;
  readonly missing: readonly string[];
}

const RELATION_SQL = `
SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
  pg_catalog.pg_has_role(c.relowner, 'USAGE') AS "isOwner",
  ARRAY (
    SELECT r.name
    FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY AS r (name, number)
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT pg_catalog.has_table_privilege(c.oid, r.name)
    ORDER BY r.number
  ) AS missing
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = $1
  AND ($3::text IS NULL OR n.nspname = $3)
ORDER BY c.oid IS DISTINCT FROM pg_catalog.to_regclass(pg_catalog.quote_ident($1)), pg_catalog.pg_table_is_visible(c.oid) DESC
LIMIT 1`;

const SCHEMA_SQL = `
SELECT n.nspname AS name,
  ARRAY (
    SELECT r.name
    FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY AS r (name, number)
    WHERE NOT pg_catalog.has_schema_privilege(n.oid, r.name)
    ORDER BY r.number
  ) AS missing
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = coalesce($1, pg_catalog.current_schema(), 'public')`;

const OWNED_SQL: Readonly<Record<Exclude<OwnedKind, "relation">, string>> = {
  schema: "SELECT n.nspowner AS owner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1 AND $2::text IS NULL",
  type: `SELECT t.typowner AS owner FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typname = $1 AND ($2::text IS NULL OR n.nspname = $2) ORDER BY pg_catalog.pg_type_is_visible(t.oid) DESC`,
  function: `SELECT p.proowner AS owner FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.proname = $1 AND ($2::text IS NULL OR n.nspname = $2) ORDER BY pg_catalog.pg_function_is_visible(p.oid) DESC`,
  extension: "SELECT e.extowner AS owner FROM pg_catalog.pg_extension AS e WHERE e.extname = $1 AND $2::text IS NULL",
  database: "SELECT d.datdba AS owner FROM pg_catalog.pg_database AS d WHERE d.datname = $1 AND $2::text IS NULL",
};

const FUNCTION_SQL = `
SELECT p.oid::pg_catalog.regprocedure::text AS name
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.proname = $1
  AND ($2::text IS NULL OR n.nspname = $2)
  AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
LIMIT 1`;
const SEQUENCE_SQL = `
SELECT n.nspname AS schema, c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relname = $1
  AND ($2::text IS NULL OR n.nspname = $2)
  AND NOT (pg_catalog.has_sequence_privilege(c.oid, 'USAGE') OR pg_catalog.has_sequence_privilege(c.oid, 'UPDATE'))
ORDER BY pg_catalog.pg_table_is_visible(c.oid) DESC
LIMIT 1`;
const LANGUAGE_SQL = `
SELECT FROM pg_catalog.pg_language AS l WHERE l.lanname = $1 AND NOT pg_catalog.has_language_privilege(l.oid, 'USAGE')`;
// From 16 on a member may be without the right to SET ROLE; MEMBER is what every version knows.
const ROLE_SQL = `SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1 AND NOT pg_catalog.pg_has_role(r.oid, 'MEMBER')`;
const SELF_SQL = `
SELECT r.rolname AS role, pg_catalog.current_database() AS database, r.rolsuper AS "isSuperuser",
  r.rolcreaterole AS "mayCreateRoles", r.rolcreatedb AS "mayCreateDatabases",
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS "mayCreateSchemas"
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = CURRENT_USER`;

interface Self extends Row {
  readonly role: string;
  readonly database: string;
  readonly isSuperuser: boolean;
  readonly mayCreateRoles: boolean;
  readonly mayCreateDatabases: boolean;
  readonly mayCreateSchemas: boolean;
}

type Asking = Pick<Connection, "query">;

/**
 * The way out for SQLSTATE 42501.
 *
 * @param message - of the server; used where it is English, as it names what the text of the statement does not show (in DO, in
 *   functions and triggers)
 * @param asked - what the statement asks for
 */
export async function missingGrant(connection: Asking, message: string, asked: readonly AskedRight[]): Promise<string> {
  const { rows } = await connection.query<Self>(SELF_SQL);
  const [self] = rows;
  if (self === undefined) return "the role lacks a right that the statement needs";
  const finder = new GrantFinder(connection, self, asked);
  const named = await finder.fromMessage(message);
  if (named !== undefined) return named;
  for (const right of asked) {
    const grant = await finder.lacking(right);
    if (grant !== undefined) return grant;
  }
  if (/superuser/.test(message)) return finder.superuser();
  return `role ${self.role} lacks a right that the statement needs: grant it, or run the migrations as the owner`;
}

class GrantFinder {
  readonly #connection: Asking;
  readonly #self: Self;
  readonly #asked: readonly AskedRight[];
  readonly #to: string;

  constructor(connection: Asking, self: Self, asked: readonly AskedRight[]) {
    this.#connection = connection;
    this.#self = self;
    this.#asked = asked;
    this.#to = identifier(self.role);
  }

  superuser(): string {
    return `run this migration as a superuser; role ${this.#self.role} is none`;
  }

  /** The GRANT for one right, `undefined` when the role has it. */
  async lacking(right: AskedRight): Promise<string | undefined> {
    const { database, isSuperuser, mayCreateRoles, mayCreateDatabases, mayCreateSchemas } = this.#self;
    switch (right.on) {
      case "schema":
        return this.#onSchema(right.name, right.rights);
      case "relation":
        return this.#onRelation(right.name, right.rights);
      case "sequence": {
        const { rows } = await this.#query<{ schema: string; name: string }>(SEQUENCE_SQL, right.name);
        const [row] = rows;
        return row && `GRANT USAGE, SELECT, UPDATE ON SEQUENCE ${identifier(row.schema, row.name)} TO ${this.#to}`;
      }
      case "function": {
        const { rows } = await this.#query<{ name: string }>(FUNCTION_SQL, right.name);
        return rows[0] && `GRANT EXECUTE ON FUNCTION ${rows[0].name} TO ${this.#to}`;
      }
      case "owner":
        return this.#asOwner(right.kind, right.name);
      case "language": {
        const { rows } = await this.#connection.query(LANGUAGE_SQL, [right.name]);
        return rows[0] && `GRANT USAGE ON LANGUAGE ${identifier(right.name)} TO ${this.#to}`;
      }
      case "role": {
        const { rows } = await this.#connection.query(ROLE_SQL, [right.name]);
        return rows[0] && `GRANT ${identifier(right.name)} TO ${this.#to}`;
      }
      case "database":
        return mayCreateSchemas ? undefined : `GRANT CREATE ON DATABASE ${identifier(database)} TO ${this.#to}`;
      case "extension":
        return `GRANT CREATE ON DATABASE ${identifier(database)} TO ${this.#to} is enough for a trusted extension; any other one needs a superuser`;
      case "superuser":
        return isSuperuser ? undefined : this.superuser();
      case "attribute": {
        const hasIt = right.attribute === "CREATEROLE" ? mayCreateRoles : mayCreateDatabases;
        return hasIt ? undefined : `ALTER ROLE ${this.#to} ${right.attribute}`;
      }
      default:
        return right satisfies never;
    }
  }

  async fromMessage(message: string): Promise<string | undefined> {
    const [, deniedKind, denied] = /permission denied for ([a-z -]+?) "?([^"(]+?)"?(?: \(|$)/.exec(message) ?? [];
    if (deniedKind !== undefined && denied !== undefined) return this.#denied(deniedKind, denied);
    const [, ownedKind, owned] =
      /must be (?:the )?owner of ([a-z -]+?) "?([^"(]+?)"?(?:\(|$| )/.exec(message.replace(/ \(SQLSTATE.*/, "")) ?? [];
    if (ownedKind !== undefined && owned !== undefined) {
      const kind = ownedKind in OWNED_SQL ? (ownedKind as OwnedKind) : "relation";
      const found = await this.#asOwner(kind, this.#nameLike(owned));
      if (found !== undefined) return found;
    }
    const [, created] = /permission denied to create (role|database|extension)/.exec(message) ?? [];
    if (created === "extension") return this.lacking({ on: "extension" });
    if (created !== undefined) return `ALTER ROLE ${this.#to} ${created === "role" ? "CREATEROLE" : "CREATEDB"}`;
    const [, other] =
      /(?:must be able to SET ROLE|must be member of role|permission denied to set role|permission denied to grant role) "([^"]+)"/.exec(
        message,
      ) ?? [];
    return other === undefined ? undefined : `GRANT ${identifier(other)} TO ${this.#to}`;
  }

  async #denied(kind: string, name: string): Promise<string | undefined> {
    const to = this.#to;
    switch (kind) {
      case "schema": {
        const rights = this.#asked.flatMap((right) =>
          right.on === "schema" && (right.name === name || right.name === undefined) ? right.rights : [],
        );
        return this.#onSchema(name, rights.length === 0 ? ["USAGE"] : [...new Set(rights)]);
      }
      case "database":
        return `GRANT CREATE ON DATABASE ${identifier(name)} TO ${to}`;
      case "tablespace":
        return `GRANT CREATE ON TABLESPACE ${identifier(name)} TO ${to}`;
      case "sequence":
        return (
          (await this.lacking({ on: "sequence", name: this.#nameLike(name) })) ??
          `GRANT USAGE, SELECT, UPDATE ON SEQUENCE ${identifier(name)} TO ${to}`
        );
      case "function":
        return (
          (await this.lacking({ on: "function", name: this.#nameLike(name) })) ??
          `GRANT EXECUTE ON FUNCTION ${identifier(name)} TO ${to}`
        );
      case "type":
        return `GRANT USAGE ON TYPE ${identifier(name)} TO ${to}`;
      case "language":
        return `GRANT USAGE ON LANGUAGE ${identifier(name)} TO ${to}`;
      default:
        return /table|view|relation/.test(kind) ? this.#deniedRelation(name) : undefined;
    }
  }

  async #deniedRelation(name: string): Promise<string | undefined> {
    const asked = this.#asked.filter((right) => right.on === "relation" && right.name.name === name);
    const rights = [...new Set(asked.flatMap((right) => (right.on === "relation" ? right.rights : [])))];
    const found = await this.#onRelation(this.#nameLike(name), rights);
    if (found !== undefined) return found;
    const relation = await this.#relation(this.#nameLike(name), []);
    return relation === undefined
      ? undefined
      : `as its owner ${relation.owner}, grant role ${this.#self.role} the right on ${identifier(relation.schema, relation.name)} that the statement needs`;
  }

  /** A message gives the last part of a name; the statement may give its schema too. */
  #nameLike(name: string): Name {
    const last = name.split(".").at(-1) ?? name;
    for (const right of this.#asked)
      if ("name" in right && typeof right.name === "object" && right.name.name === last) return right.name;
    return { schema: undefined, name: last };
  }

  async #onSchema(name: string | undefined, rights: readonly string[]): Promise<string | undefined> {
    const { rows } = await this.#connection.query<{ name: string; missing: readonly string[] }>(SCHEMA_SQL, [
      name ?? null,
      rights,
    ]);
    const [row] = rows;
    // One that is not there was to be made.
    if (row === undefined) return this.lacking({ on: "database" });
    return row.missing.length === 0
      ? undefined
      : `GRANT ${row.missing.join(", ")} ON SCHEMA ${identifier(row.name)} TO ${this.#to}`;
  }

  async #onRelation(name: Name, rights: readonly string[]): Promise<string | undefined> {
    const row = await this.#relation(name, rights);
    return row === undefined || row.missing.length === 0
      ? undefined
      : `GRANT ${row.missing.join(", ")} ON ${identifier(row.schema, row.name)} TO ${this.#to}`;
  }

  async #asOwner(kind: OwnedKind, name: Name): Promise<string | undefined> {
    let owner: string | undefined;
    if (kind === "relation") {
      const row = await this.#relation(name, []);
      owner = row?.isOwner === false ? row.owner : undefined;
    } else {
      const { rows } = await this.#query<{ owner: string }>(
        `SELECT pg_catalog.pg_get_userbyid(o.owner) AS owner FROM (${OWNED_SQL[kind]} LIMIT 1) AS o
WHERE NOT pg_catalog.pg_has_role(o.owner, 'USAGE')`,
        name,
      );
      owner = rows[0]?.owner;
    }
    return owner === undefined
      ? undefined
      : `GRANT ${identifier(owner)} TO ${this.#to}, or run the migrations as ${owner}`;
  }

  async #relation({ schema, name }: Name, rights: readonly string[]): Promise<RelationRow | undefined> {
    const { rows } = await this.#connection.query<RelationRow>(RELATION_SQL, [name, rights, schema ?? null]);
    return rows[0];
  }

  #query<R extends Row>(sql: string, { schema, name }: Name) {
    return this.#connection.query<R>(sql, [name, schema ?? null]);
  }
}

/**
 * Does what asks the history, and names the GRANT when the login may not.
 *
 * @throws what `work` throws; InsufficientPrivilegeError with the GRANT in its hint
 */
export function withGrantNamed<T>(
  connection: Connection,
  { schema, table }: HistoryTable,
  work: () => Promise<T>,
): Promise<T> {
  const asked: readonly AskedRight[] = [
    { on: "schema", name: schema, rights: ["USAGE", "CREATE"] },
    { on: "relation", name: { schema, name: table }, rights: ["SELECT", "INSERT", "UPDATE", "DELETE"] },
  ];
  return withRightsNamed(connection, asked, work);
}

/**
 * Does something, and names the GRANT when the login may not.
 *
 * @param asked - what it asks for, in the order in which the server looks at it
 * @throws what `work` throws; InsufficientPrivilegeError with the GRANT in its hint
 */
export async function withRightsNamed<T>(
  connection: Connection,
  asked: readonly AskedRight[],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof InsufficientPrivilegeError) || error.hint !== undefined) throw error;
    if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    const hint = await missingGrant(connection, error.message, asked);
    throw new InsufficientPrivilegeError(error.message, { sqlState: error.sqlState }, { cause: error, hint });
  }
}
