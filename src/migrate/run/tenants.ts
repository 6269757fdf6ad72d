// The same migrations for many tenants: one schema each, or one database each. So many at a time, one that fails does not stop
// the others unless asked, and a report for each.
import {
  CancelledError,
  InvalidInputError,
  openDatabase,
  StewardError,
  toStewardError,
  type Database,
} from "../../postgres/index.ts";
import type { RunMigrationsOptions } from "./run-options.ts";

export type MigrationTenant =
  | { readonly kind: "schema"; readonly name: string; readonly database: Database }
  /** `name` is for the report: the URL holds a password. */
  | { readonly kind: "database"; readonly name: string; readonly url: string };

export type TenantOutcome<T> =
  | { readonly kind: "done"; readonly result: T; readonly durationMs: number }
  | { readonly kind: "failed"; readonly error: StewardError; readonly durationMs: number }
  /** A tenant before it failed, or the run was cancelled. */
  | { readonly kind: "notRun" };

export interface TenantReport<T> {
  readonly tenant: string;
  readonly outcome: TenantOutcome<T>;
}

export interface TenantsOptions {
  /** Tenants at a time. Default 4; 1 on an embedded database. */
  readonly concurrency?: number | undefined;
  /** After a failure no further tenant is begun. Default false. */
  readonly stopOnFailure?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told when a tenant is begun (without an outcome) and when it ends. */
  readonly onTenant?: ((tenant: string, outcome?: TenantOutcome<unknown>) => void) | undefined;
}

/**
 * Does the same for every tenant, e.g. `(database, options) => runMigrations(database, migrations, options)`. A failure is part of
 * the report, never thrown.
 *
 * @returns one report for each tenant, in the order in which they were given
 */
export async function migrateTenants<T>(
  tenants: readonly MigrationTenant[],
  work: (database: Database, options: Pick<RunMigrationsOptions, "schema" | "signal">, tenant: string) => Promise<T>,
  options: TenantsOptions = {},
): Promise<readonly TenantReport<T>[]> {
  const { concurrency = 4, stopOnFailure = false, signal, onTenant } = options;
  if (!Number.isSafeInteger(concurrency) || concurrency < 1)
    throw new InvalidInputError(`concurrency must be a whole number from 1, got ${concurrency}`);
  const outcomes = new Map<MigrationTenant, TenantOutcome<T>>();
  const isEmbedded = tenants.some((tenant) => tenant.kind === "schema" && tenant.database.kind === "pglite");
  const queue = [...tenants];
  let hasFailed = false;
  const takeTurns = async (): Promise<void> => {
    for (;;) {
      if ((stopOnFailure && hasFailed) || signal?.aborted === true) return;
      const tenant = queue.shift();
      if (tenant === undefined) return;
      onTenant?.(tenant.name);
      const outcome = await runFor(tenant, work, signal);
      hasFailed ||= outcome.kind === "failed";
      outcomes.set(tenant, outcome);
      onTenant?.(tenant.name, outcome);
    }
  };
  await Promise.all(Array.from({ length: isEmbedded ? 1 : Math.min(concurrency, tenants.length) }, takeTurns));
  return tenants.map((tenant) => ({ tenant: tenant.name, outcome: outcomes.get(tenant) ?? { kind: "notRun" } }));
}

async function runFor<T>(
  tenant: MigrationTenant,
  work: (database: Database, options: Pick<RunMigrationsOptions, "schema" | "signal">, tenant: string) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<TenantOutcome<T>> {
  const started = performance.now();
  const tookMs = (): number => Math.round(performance.now() - started);
  try {
    if (tenant.kind === "schema") {
      const result = await work(tenant.database, { schema: tenant.name, signal }, tenant.name);
      return { kind: "done", result, durationMs: tookMs() };
    }
    await using database = await openDatabase({
      url: tenant.url,
      pool: { size: 2 },
      applicationName: "pgsteward migrate",
    });
    return { kind: "done", result: await work(database, { signal }, tenant.name), durationMs: tookMs() };
  } catch (error) {
    if (error instanceof CancelledError && signal?.aborted === true)
      return { kind: "failed", error, durationMs: tookMs() };
    return {
      kind: "failed",
      error: error instanceof StewardError ? error : toStewardError(error),
      durationMs: tookMs(),
    };
  }
}

/**
 * The tenants' schemas of a database, by patterns such as `tenant_*`, in the order of their names.
 *
 * @throws InvalidInputError when a pattern matches no schema
 */
export async function readTenantSchemas(
  database: Database,
  patterns: readonly string[],
): Promise<readonly MigrationTenant[]> {
  const { rows } = await database.query<{ name: string }>(`
SELECT n.nspname AS name
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'pgsteward')
ORDER BY n.nspname`);
  const names = new Set<string>();
  for (const pattern of patterns) {
    const form = new RegExp(
      `^${pattern
        .split("*")
        .map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
        .join(".*")}$`,
      "s",
    );
    const found = rows.filter(({ name }) => form.test(name));
    if (found.length === 0)
      throw new InvalidInputError(`no schema is named ${pattern}`, {
        hint: "make the tenant's schema first, or correct the pattern",
      });
    for (const { name } of found) names.add(name);
  }
  return [...names].sort().map((name) => ({ kind: "schema", name, database }));
}
