// Who a unit of work runs for, and the one statement that tells the server: settings and role live exactly as long as the
// transaction, never on the connection.
import type { ContextSigner } from "./signed-context.ts";
import { givenOptions, identifier, InvalidInputError, literal, type Statement } from "../postgres/index.ts";

/** Read by row-level security policies and triggers through `current_setting('app.tenant_id', true)` and alike. */
export interface SessionContext {
  /** `app.tenant_id`. A UUID, unless the factory says `tenantIdType: "text"`. */
  readonly tenantId?: string | undefined;
  /** `app.actor_id`: the user or agent that acts. */
  readonly actorId?: string | undefined;
  /** `app.request_id`. */
  readonly requestId?: string | undefined;
  /** Database role of this unit (`SET LOCAL ROLE`); overrides the factory's. The login must be a member of it. */
  readonly role?: string | undefined;
}

/** Limits of a unit of work, in milliseconds; 0 switches one off. */
export interface SessionLimits {
  /** `statement_timeout`. Default 30_000. */
  readonly statementTimeoutMs: number;
  /** `lock_timeout`. Default 5_000. */
  readonly lockTimeoutMs: number;
  /** `idle_in_transaction_session_timeout`: the server ends a transaction that waits for us this long. Default 10_000. */
  readonly idleInTransactionTimeoutMs: number;
  /** Whole unit: rolled back past it, here and by `transaction_timeout` (PostgreSQL 17 and later). Default 60_000. */
  readonly unitTimeoutMs: number;
  /** Warned about past it. Default 5_000. */
  readonly unitWarningMs: number;
  /** Warned about when this passes between two statements. Default 1_000. */
  readonly gapWarningMs: number;
}

export const DEFAULT_LIMITS: SessionLimits = {
  statementTimeoutMs: 30_000,
  lockTimeoutMs: 5_000,
  idleInTransactionTimeoutMs: 10_000,
  unitTimeoutMs: 60_000,
  unitWarningMs: 5_000,
  gapWarningMs: 1_000,
};

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const CONTEXT_KEYS = new Set(["tenantId", "actorId", "requestId", "role"]);

/** @throws InvalidInputError for a context that PostgreSQL, or a policy, would choke on later */
export function checkContext(context: SessionContext, tenantIdType: "uuid" | "text"): void {
  if (typeof context !== "object" || context === null) {
    throw new InvalidInputError("the context must be an object like { tenantId, actorId }", {
      hint: "pass {} for a unit without tenant",
    });
  }
  for (const key of Object.keys(context)) {
    const value: unknown = context[key as keyof SessionContext];
    if (key === "tenantId" && tenantIdType === "uuid" && typeof value === "string" && UUID.test(value)) continue;
    if (!CONTEXT_KEYS.has(key)) {
      throw new InvalidInputError(`the context has no field ${JSON.stringify(key)}`, {
        hint: `known are ${[...CONTEXT_KEYS].join(", ")}`,
      });
    }
    if (value === undefined) continue;
    if (typeof value !== "string" || value === "")
      throw new InvalidInputError(`context.${key} must be a string of at least one character`);
    if (value.includes("\0") || !value.isWellFormed())
      throw new InvalidInputError(`context.${key} holds characters that PostgreSQL cannot store`);
  }
  if (context.tenantId !== undefined && tenantIdType === "uuid" && !UUID.test(context.tenantId)) {
    throw new InvalidInputError("context.tenantId is no UUID", {
      hint: 'pass the tenant\'s id, e.g. "0197…-…"; createSessionFactory(db, { tenantIdType: "text" }) allows other forms',
    });
  }
}

const SETTINGS: readonly string[] = [
  "pg_catalog.set_config('app.tenant_id', $1, true)",
  "pg_catalog.set_config('app.actor_id', $2, true)",
  "pg_catalog.set_config('app.request_id', $3, true)",
  "pg_catalog.set_config('statement_timeout', $4, true)",
  "pg_catalog.set_config('lock_timeout', $5, true)",
  "pg_catalog.set_config('idle_in_transaction_session_timeout', $6, true)",
];

/** The texts by their form: a handful per program, and building one for each unit costs as much as sending it. */
const texts = new Map<string, string>();

function contextText(hasUnitLimit: boolean, isReadOnly: boolean, signing: string, hasRole: boolean): string {
  const key = `${hasUnitLimit} ${isReadOnly} ${hasRole} ${signing}`;
  let text = texts.get(key);
  if (text === undefined) {
    const calls = [...SETTINGS];
    let last = SETTINGS.length;
    if (hasUnitLimit) calls.push(`pg_catalog.set_config('transaction_timeout', $${++last}, true)`);
    if (isReadOnly) calls.push("pg_catalog.set_config('transaction_read_only', 'on', true)");
    if (signing !== "") calls.push(`${signing}($${++last}, $${++last}, $${++last}, $${++last})`);
    // Last: the role may lack the right to change what stands before it.
    if (hasRole) calls.push(`pg_catalog.set_config('role', $${++last}, true)`);
    text = `SELECT ${calls.join(", ")}`;
    texts.set(key, text);
  }
  return text;
}

/**
 * One SELECT that sets everything for the transaction. A context field that is not given is set to the empty string, so
 * that nothing of an earlier unit of the same connection can be seen.
 *
 * @param serverVersion - `server_version_num`; `transaction_timeout` exists since 170000
 */
export function contextStatement(
  context: SessionContext,
  role: string | undefined,
  limits: SessionLimits,
  serverVersion: number,
  isReadOnly: boolean,
  signer?: ContextSigner,
): Statement {
  const values: (string | Buffer)[] = [
    context.tenantId ?? "",
    context.actorId ?? "",
    context.requestId ?? "",
    String(limits.statementTimeoutMs),
    String(limits.lockTimeoutMs),
    String(limits.idleInTransactionTimeoutMs),
  ];
  const hasUnitLimit = serverVersion >= 170_000;
  if (hasUnitLimit) values.push(String(limits.unitTimeoutMs));
  const signs = signer !== undefined && context.tenantId !== undefined;
  if (signs) values.push(...signer.sign(context.tenantId));
  if (role !== undefined) values.push(role);
  const text = contextText(hasUnitLimit, isReadOnly, signs ? signer.function : "", role !== undefined);
  return { text, values, rowMode: "array" };
}

/**
 * The same as commands, for a distributed database: `SET LOCAL` is passed on to its other nodes, `set_config()` is not. A
 * command takes no parameters, so what `checkContext` has let through stands in the text as a literal. Limits stay with the
 * node that is asked. Needs an open transaction.
 */
export function contextCommands(
  context: SessionContext,
  role: string | undefined,
  limits: SessionLimits,
  serverVersion: number,
): Statement[] {
  const commands = [
    // Citus passes SET LOCAL on only when it is told to; elsewhere this is a setting that nobody reads.
    "SET LOCAL citus.propagate_set_commands = 'local'",
    `SET LOCAL app.tenant_id = ${literal(context.tenantId ?? "")}`,
    `SET LOCAL app.actor_id = ${literal(context.actorId ?? "")}`,
    `SET LOCAL app.request_id = ${literal(context.requestId ?? "")}`,
  ];
  const statements: Statement[] = commands.map((text) => ({ text, prepare: false }));
  statements.push(limitsStatement(limits, serverVersion));
  if (role !== undefined) statements.push({ text: `SET LOCAL ROLE ${identifier(role)}`, prepare: false });
  return statements;
}

function limitsStatement(limits: SessionLimits, serverVersion: number): Statement {
  const settings: [string, number][] = [
    ["statement_timeout", limits.statementTimeoutMs],
    ["lock_timeout", limits.lockTimeoutMs],
    ["idle_in_transaction_session_timeout", limits.idleInTransactionTimeoutMs],
  ];
  if (serverVersion >= 170_000) settings.push(["transaction_timeout", limits.unitTimeoutMs]);
  return {
    text: `SELECT ${settings.map(([name], index) => `pg_catalog.set_config('${name}', $${index + 1}, true)`).join(", ")}`,
    values: settings.map(([, value]) => String(value)),
    rowMode: "array",
  };
}

/** `base` with what was given otherwise. @throws InvalidInputError for a limit that is unknown or no whole number of milliseconds */
export function checkedLimits(base: SessionLimits, changes: Partial<SessionLimits> | undefined): SessionLimits {
  if (changes === undefined) return base;
  const given = givenOptions(changes);
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name))
      throw new InvalidInputError(`there is no limit ${name}`, {
        hint: `known are ${Object.keys(DEFAULT_LIMITS).join(", ")}`,
      });
    if (!Number.isSafeInteger(value) || value < 0 || value > 2 ** 31 - 1) {
      throw new InvalidInputError(
        `limits.${name} must be a whole number of milliseconds from 0 to ${2 ** 31 - 1}, got ${String(value)}`,
      );
    }
  }
  return { ...base, ...given };
}
