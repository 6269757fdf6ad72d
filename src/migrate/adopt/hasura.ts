// What a database has before Hasura's first migration: its server makes pgcrypto there, and migrations rely on it.
import type { AdoptedMigration } from "./folder.ts";

const NAMES_PGCRYPTO = /\b(?:gen_random_(?:uuid|bytes)|gen_salt|crypt|digest|hmac|pgp_\w+)"?\s*\(/i;

/** The SQL that makes it so; `undefined` where no migration of Hasura needs it. */
export function surroundingsOfHasura(migrations: readonly AdoptedMigration[]): string | undefined {
  const needsIt = migrations.some(({ tool, up }) => tool === "hasura" && NAMES_PGCRYPTO.test(up.sql));
  return needsIt ? "CREATE EXTENSION IF NOT EXISTS pgcrypto;" : undefined;
}
