// A tenant context that SQL cannot forge, for roles that run statements written by agents: `set_config('app.tenant_id', …)` is
// open to everybody, so the policy asks a function that checks a signature over tenant, backend and transaction.
// The threat model is in docs/signed-context.md.
import { createHash, createHmac } from "node:crypto";
import { driverIO, identifier, InvalidInputError, type Database, type Statement } from "../postgres/index.ts";

export interface SignedContextOptions {
  /** 32 bytes or more, shared by the program and the database's functions, known to nobody who writes SQL. */
  readonly key: Uint8Array;
  /** Schema of the functions. Default `"pgsteward_context"`. */
  readonly schema?: string;
}

export interface SignedContextFactoryOptions extends SignedContextOptions {
  /** How long a signature may be used to open a unit; bridges clocks that differ. In milliseconds. Default 60_000. */
  readonly validForMs?: number;
}

export interface SignedContextFunctionsOptions extends SignedContextOptions {
  /** Roles that may call the functions: logins of programs and roles of units. Default: everybody, which is safe. */
  readonly roles?: readonly string[];
  /** Removes keys of earlier calls, so that signatures made with them are refused. Default false. */
  readonly removeOtherKeys?: boolean;
}

const DEFAULT_SCHEMA = "pgsteward_context";
const MIN_KEY_BYTES = 32;
const BLOCK_BYTES = 64;

/**
 * Installs the schema, its key table, which only its owner reads, and the functions `enter_tenant` and `signed_tenant`.
 * Idempotent; a second key is added beside the first. The login becomes their owner: it must not be one that runs agents' SQL.
 *
 * @throws InvalidInputError for a short key, or when the schema belongs to somebody else
 */
export async function createSignedContextFunctions(
  database: Database,
  options: SignedContextFunctionsOptions,
): Promise<void> {
  const { roles, removeOtherKeys = false } = options;
  const key = checkedKey(options.key);
  const schema = schemaText(options.schema);
  const grantees = roles === undefined ? "PUBLIC" : roles.map((role) => identifier(role)).join(", ");
  const id = keyId(key);
  // HMAC-SHA256 by sha256() alone needs the key's two padded forms; made here, they spare the server the padding.
  const [inner, outer] = [padded(key, 0x36), padded(key, 0x5c)];
  const statements: Statement[] = [
    { text: "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pgsteward.signed_context', 0))" },
    { text: `CREATE SCHEMA IF NOT EXISTS ${schema}` },
    {
      text: `
CREATE TABLE IF NOT EXISTS ${schema}.signing_key (
  id text PRIMARY KEY,
  inner_key bytea NOT NULL,
  outer_key bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
)`,
    },
    { text: OWNERSHIP_SQL, values: [options.schema ?? DEFAULT_SCHEMA] },
    { text: revokeAllText(schema) },
    {
      text: `INSERT INTO ${schema}.signing_key (id, inner_key, outer_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
      values: [id, inner, outer],
    },
    ...(removeOtherKeys ? [{ text: `DELETE FROM ${schema}.signing_key WHERE id <> $1`, values: [id] }] : []),
    { text: enterTenantText(schema) },
    { text: signedTenantText(schema) },
    { text: `REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ${schema} FROM PUBLIC` },
    ...(roles?.length === 0
      ? []
      : [
          { text: `GRANT USAGE ON SCHEMA ${schema} TO ${grantees}` },
          { text: `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${grantees}` },
        ]),
  ];
  const results = await driverIO(() =>
    database.batch(statements.map((statement): Statement => ({ ...statement, prepare: false }))),
  );
  if (results[3]?.rows[0]?.["isOurs"] !== true) {
    throw new InvalidInputError(
      `the schema ${schema} or its key table belongs to another role, which can read the key`,
      {
        hint: "drop it, choose another schema, or install the functions as its owner; then use a new key",
      },
    );
  }
}

/**
 * The condition of a row-level security policy: true for rows of the tenant that the unit was opened for.
 *
 * @example `CREATE POLICY tenant ON documents USING (${signedTenantCondition()}) WITH CHECK (${signedTenantCondition()})`
 */
export function signedTenantCondition(
  options: { readonly column?: string; readonly type?: "uuid" | "text"; readonly schema?: string } = {},
): string {
  const { column = "tenant_id", type = "uuid" } = options;
  // In a subquery it is called once for a statement instead of once for each row.
  return `${identifier(column)} = (SELECT ${schemaText(options.schema)}.signed_tenant()::${type})`;
}

/** Makes the call that opens a unit's tenant context; it travels in the statement that sets the unit's settings. */
export class ContextSigner {
  readonly function: string;
  readonly #key: Buffer;
  readonly #keyId: string;
  readonly #validForMs: number;

  constructor({ key, schema, validForMs = 60_000 }: SignedContextFactoryOptions) {
    if (!Number.isSafeInteger(validForMs) || validForMs < 1)
      throw new InvalidInputError("signedContext.validForMs must be a whole number of milliseconds");
    this.#key = checkedKey(key);
    this.#keyId = keyId(this.#key);
    this.#validForMs = validForMs;
    this.function = `${schemaText(schema)}.enter_tenant`;
  }

  /** Arguments of `enter_tenant`. */
  sign(tenantId: string): [tenant: string, expiresMs: string, keyId: string, signature: Buffer] {
    const expires = String(Date.now() + this.#validForMs);
    const signature = createHmac("sha256", this.#key).update(`enter\n${expires}\n${tenantId}`).digest();
    return [tenantId, expires, this.#keyId, signature];
  }
}

function checkedKey(key: Uint8Array): Buffer {
  if (!(key instanceof Uint8Array) || key.length < MIN_KEY_BYTES)
    throw new InvalidInputError(`the key of a signed context must have at least ${MIN_KEY_BYTES} bytes`, {
      hint: "make it once with randomBytes(32) and keep it with the program's other secrets",
    });
  return Buffer.from(key);
}

/** The name stands inside quoted bodies, where an unusual one could end them. */
function schemaText(schema = DEFAULT_SCHEMA): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(schema))
    throw new InvalidInputError("the schema of the signed context must be a plain name", {
      hint: "use letters, digits and _",
    });
  return identifier(schema);
}

function keyId(key: Buffer): string {
  return createHash("sha256").update("pgsteward signed context").update(key).digest("hex").slice(0, 16);
}

/** @see https://www.rfc-editor.org/rfc/rfc2104 */
function padded(key: Buffer, pad: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  (key.length > BLOCK_BYTES ? createHash("sha256").update(key).digest() : key).copy(block);
  return block.map((byte) => byte ^ pad) as Buffer;
}

/** Somebody who made the schema or the table beforehand could read what is put there. */
const OWNERSHIP_SQL = `
SELECT n.nspowner = r.oid AND c.relowner = r.oid AS "isOurs"
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
WHERE n.nspname = $1 AND c.relname = 'signing_key'`;

/** Default privileges may have granted rights to roles that nobody thought of. */
function revokeAllText(schema: string): string {
  return `
DO $do$
DECLARE
  grantee text;
BEGIN
  REVOKE ALL ON SCHEMA ${schema} FROM PUBLIC;
  REVOKE ALL ON ${schema}.signing_key FROM PUBLIC;
  FOR grantee IN
    SELECT DISTINCT r.rolname
    FROM pg_catalog.pg_class AS c
    CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
    JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
    WHERE c.oid = '${schema}.signing_key'::pg_catalog.regclass
      AND a.grantee <> c.relowner
  LOOP
    EXECUTE pg_catalog.format('REVOKE ALL ON ${schema}.signing_key FROM %I', grantee);
  END LOOP;
END
$do$`;
}

// pid and start of the transaction: a setting that was read cannot be used in another transaction or by another backend. Numbers,
// because the text of a timestamp follows settings that everybody may change.
const TOKEN_SQL = `pg_catalog.sha256(found.outer_key || pg_catalog.sha256(found.inner_key || pg_catalog.convert_to(
    'token' || chr(10) || pg_catalog.pg_backend_pid() || chr(10)
      || (extract(epoch FROM pg_catalog.transaction_timestamp()) * 1000000)::bigint || chr(10) || claimed, 'UTF8')))`;

function enterTenantText(schema: string): string {
  return `
CREATE OR REPLACE FUNCTION ${schema}.enter_tenant(claimed text, expires_ms bigint, key_id text, signature bytea)
RETURNS void
LANGUAGE plpgsql
VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
  found_key record;
BEGIN
  SELECT k.inner_key, k.outer_key INTO found_key FROM ${schema}.signing_key AS k WHERE k.id = key_id;
  IF found_key IS NULL
    OR expires_ms IS NULL OR claimed IS NULL
    OR expires_ms <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    OR sha256(found_key.outer_key || sha256(found_key.inner_key || convert_to(
      'enter' || chr(10) || expires_ms || chr(10) || claimed, 'UTF8'))) IS DISTINCT FROM signature
  THEN
    RAISE EXCEPTION 'the signature of the tenant context is not valid' USING
      ERRCODE = 'insufficient_privilege',
      HINT = 'check that program and database have the same key, and that their clocks agree';
  END IF;
  PERFORM set_config('app.tenant_token', key_id || '.' || encode(${TOKEN_SQL.replaceAll("found.", "found_key.")}, 'hex'), true);
END
$body$`;
}

function signedTenantText(schema: string): string {
  return `
CREATE OR REPLACE FUNCTION ${schema}.signed_tenant()
RETURNS text
LANGUAGE plpgsql
STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
  claimed text := current_setting('app.tenant_id', true);
  token text := current_setting('app.tenant_token', true);
  found_key record;
BEGIN
  IF coalesce(claimed, '') = '' OR coalesce(token, '') = '' THEN
    RETURN NULL;
  END IF;
  SELECT k.inner_key, k.outer_key INTO found_key FROM ${schema}.signing_key AS k WHERE k.id = split_part(token, '.', 1);
  IF found_key IS NULL THEN
    RETURN NULL;
  END IF;
  -- Hashes are compared, not the texts: how long that takes tells nothing about the right one.
  IF sha256(found_key.inner_key || convert_to(split_part(token, '.', 2), 'UTF8'))
    = sha256(found_key.inner_key || convert_to(encode(${TOKEN_SQL.replaceAll("found.", "found_key.")}, 'hex'), 'UTF8'))
  THEN
    RETURN claimed;
  END IF;
  RETURN NULL;
END
$body$`;
}
