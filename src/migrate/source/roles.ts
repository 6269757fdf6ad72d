// Roles that a schema speaks of: in a throw-away database they only have to exist.
import type { Catalog } from "../../catalog/index.ts";
import { identifier, InvalidInputError, type Connection, type ShadowInfo } from "../../postgres/index.ts";

/** Of names (`text[]`) those that no role has. */
export const MISSING_ROLES_SQL = `
SELECT wanted.name
FROM unnest($1::text[]) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = wanted.name)
ORDER BY wanted.name`;

/** @throws InvalidInputError on a server that is not ours, for a role that it does not have */
export async function createRoles(
  connection: Connection,
  names: readonly string[],
  { kind }: Pick<ShadowInfo, "kind">,
): Promise<void> {
  const wanted = [...new Set(names)].filter((name) => name !== "public" && !name.startsWith("pg_"));
  if (wanted.length === 0) return;
  const { rows } = await connection.query<{ name: string }>(MISSING_ROLES_SQL, [wanted]);
  const [first] = rows;
  if (first === undefined) return;
  if (kind === "scratch") {
    // A role belongs to the whole server: a throw-away one would be seen by everybody, and stay when this process is killed.
    throw new InvalidInputError(`the server has no role ${rows.map(({ name }) => name).join(", ")}`, {
      hint: `create it: CREATE ROLE ${identifier(first.name)} NOLOGIN`,
    });
  }
  for (const { name } of rows) await connection.exec(`CREATE ROLE ${identifier(name)} NOLOGIN`);
}

/** Roles that grants and policies name. */
export function rolesOfCatalog(catalog: Catalog | undefined): readonly string[] {
  return [
    ...(catalog?.grants ?? []).flatMap(({ grantee, grantor }) => [grantee, grantor]),
    ...(catalog?.tables ?? []).flatMap(({ policies }) => policies.flatMap(({ roles }) => roles)),
  ];
}
