// What the commands that run migrations have in common: their options, the folder, and the databases or schemas they run on.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Option, type Command } from "commander";
import {
  migrateTenants,
  readMigrations,
  readTenantSchemas,
  type Migration,
  type MigrationTenant,
  type RunMigrationsOptions,
  type TenantReport,
} from "../../../migrate/index.ts";
import { redactText } from "../../../logging/redact.ts";
import { withFileFaults } from "../../../postgres/file-fault.ts";
import { CancelledError, InvalidInputError, type Database } from "../../../postgres/index.ts";
import { wholeNumber } from "../../arguments.ts";
import {
  chooseDatabase,
  openExisting,
  openWith,
  readCommandSettings,
  requireValid,
  type CommandContext,
  type CommandSettings,
} from "../../context.ts";
import { printable } from "../../output.ts";
import { eventNotes, tenantNote } from "./run-text.ts";

export interface TargetFlags {
  readonly folder?: string;
  readonly schemas?: readonly string[];
  readonly databases?: string;
  readonly concurrency?: number;
  readonly stopOnFailure?: boolean;
}

export interface RunFlags extends TargetFlags {
  readonly lockTimeout?: number;
  readonly lockAttempts?: number;
  readonly statementTimeout?: number;
  readonly runnerWait?: number;
  readonly waitForReplicas?: number | true;
  readonly undecided?: "again" | "done";
  readonly actor?: string;
}

const REPLICA_WAIT_MS = 60_000;

/** `--folder`, and where to run. */
export function addTargetOptions(command: Command): Command {
  return command
    .option(
      "--folder <path>",
      "folder of the migrations (default: `migrations` of the configuration file, else migrations/)",
    )
    .option("--schemas <patterns...>", "tenants: run in each of these schemas, e.g. 'tenant_*'")
    .option("--databases <file>", "tenants: run on each database of this file, one URL a line; - reads stdin")
    .option("--concurrency <tenants>", "tenants at a time (default: 4)", wholeNumber)
    .option("--stop-on-failure", "begin no further tenant after one has failed");
}

/** How statements are run. */
export function addRunOptions(command: Command): Command {
  return addTargetOptions(command)
    .option(
      "--lock-timeout <ms>",
      "longest wait of a statement for a lock, before it is tried again; 0: without an end (default: 2000)",
      wholeNumber,
    )
    .option(
      "--lock-attempts <times>",
      "how often a group is tried when a lock is not to be had (default: 10)",
      wholeNumber,
    )
    .option("--statement-timeout <ms>", "longest run of a statement (default: no limit)", wholeNumber)
    .option("--runner-wait <ms>", "longest wait for another runner; 0 fails at once (default: 60000)", wholeNumber)
    .option(
      "--wait-for-replicas [ms]",
      "after each group wait until the replicas have it (default limit: 60000)",
      wholeNumber,
    )
    .addOption(
      new Option(
        "--undecided <what>",
        "a statement outside a transaction was interrupted, and nobody can tell whether it finished",
      ).choices(["again", "done"]),
    )
    .option("--actor <name>", "who asked for it, for the history");
}

export function runOptionsOf(flags: RunFlags): RunMigrationsOptions {
  return {
    lockTimeoutMs: flags.lockTimeout,
    lockAttempts: flags.lockAttempts,
    statementTimeoutMs: flags.statementTimeout,
    runnerWaitMs: flags.runnerWait,
    replicaWaitMs: flags.waitForReplicas === true ? REPLICA_WAIT_MS : flags.waitForReplicas,
    undecided: flags.undecided,
    actor: flags.actor,
  };
}

export interface MigrateWork {
  readonly context: CommandContext;
  readonly migrations: readonly Migration[];
  /** Does the same on the one database, or for every tenant; `isQuiet`: without telling of each tenant. */
  readonly onTargets: <T>(
    work: (database: Database, options: Pick<RunMigrationsOptions, "schema" | "signal" | "onEvent">) => Promise<T>,
    how?: { readonly isQuiet: boolean },
  ) => Promise<Targets<T>>;
}

export type Targets<T> =
  | { readonly kind: "one"; readonly result: T }
  | { readonly kind: "tenants"; readonly reports: readonly TenantReport<T>[] };

/**
 * Reads the settings and the folder, opens what is named, and hands both over.
 *
 * @param flags - `mayCreate`: an embedded database that does not exist is made
 */
export async function withMigrations(
  context: CommandContext,
  flags: TargetFlags & { readonly mayCreate?: boolean },
  action: (work: MigrateWork) => Promise<number>,
): Promise<number> {
  const settings = await readCommandSettings(context);
  requireValid(settings);
  if (flags.schemas !== undefined && flags.databases !== undefined)
    throw new InvalidInputError("--schemas and --databases exclude each other", { hint: "give one of them" });
  const folder = flags.folder ?? settings.settings.migrations ?? "migrations";
  const migrations = readFolder(context, folder);
  if (flags.databases !== undefined) {
    const tenants = readDatabaseList(context, flags.databases);
    return await action({
      context,
      migrations,
      onTargets: (work, how) => forTenants(context, flags, tenants, work, how?.isQuiet),
    });
  }
  const url = chooseDatabase(context, settings);
  await using database = await open(context, settings, url, flags.mayCreate === true);
  const tenants = flags.schemas === undefined ? undefined : await readTenantSchemas(database, flags.schemas);
  return await action({
    context,
    migrations,
    onTargets: async (work, how) => {
      if (tenants !== undefined) return forTenants(context, flags, tenants, work, how?.isQuiet);
      const { signal } = context;
      try {
        return { kind: "one", result: await work(database, { signal, onEvent: eventNotes(context.output) }) };
      } catch (error) {
        // The program says "stopped"; what is done and how to go on is known here.
        if (error instanceof CancelledError)
          context.output.note([error.message, error.hint].filter((text) => text !== undefined).join("; "));
        throw error;
      }
    },
  });
}

/** The migrations of a folder. One that holds only what `up` cannot run must not look like one where everything is done. */
function readFolder({ cwd, output }: CommandContext, folder: string): readonly Migration[] {
  const path = resolve(cwd, folder);
  if (!existsSync(path)) {
    throw new InvalidInputError(`the folder of migrations ${folder} does not exist`, {
      hint: "check the path, or name it with --folder; pgsteward migrate generate writes the first migration",
    });
  }
  const migrations = readMigrations(path);
  if (migrations.length > 0) return migrations;
  const inside = withFileFaults(folder, () => readdirSync(path, { recursive: true, encoding: "utf8" }));
  const [other] = inside.filter((name) => name.toLowerCase().endsWith(".sql")).sort();
  if (other !== undefined) {
    throw new InvalidInputError(`the folder of migrations ${folder} holds SQL in folders only (${other})`, {
      hint: "give the folder that holds files like 0007_add_owner.sql; lint and migrate verify read other tools' folders",
    });
  }
  output.note(`the folder of migrations ${folder} is empty`);
  return migrations;
}

function open(context: CommandContext, settings: CommandSettings, url: string, mayCreate: boolean): Promise<Database> {
  return mayCreate ? openWith(settings, url) : openExisting(context, settings, url);
}

async function forTenants<T>(
  { output, signal }: CommandContext,
  flags: TargetFlags,
  tenants: readonly MigrationTenant[],
  work: (database: Database, options: Pick<RunMigrationsOptions, "schema" | "signal" | "onEvent">) => Promise<T>,
  isQuiet = false,
): Promise<Targets<T>> {
  let ended = 0;
  const reports = await migrateTenants(
    tenants,
    (database, options, tenant) =>
      work(database, { ...options, onEvent: eventNotes(output, `${printable(tenant)}: `) }),
    {
      concurrency: flags.concurrency,
      stopOnFailure: flags.stopOnFailure ?? false,
      signal,
      onTenant: (tenant, outcome) => {
        if (outcome === undefined || isQuiet) return;
        ended++;
        output.note(tenantNote(tenant, outcome, ended, tenants.length));
      },
    },
  );
  return { kind: "tenants", reports };
}

/** One URL a line; empty lines and those that begin with # are passed over. */
function readDatabaseList({ cwd }: CommandContext, file: string): readonly MigrationTenant[] {
  const text = withFileFaults(`the list of databases ${file}`, () =>
    readFileSync(file === "-" ? 0 : resolve(cwd, file), "utf8"),
  );
  const urls = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (urls.length === 0)
    throw new InvalidInputError(`${file} names no database`, {
      hint: "write one URL a line, e.g. postgres://user@host/name",
    });
  return urls.map((url) => ({ kind: "database", name: nameOf(url), url }));
}

/** Host and database, without login: what a report may show. A password that was not encoded may hold `@` and `/`. */
function nameOf(url: string): string {
  const [, place] = /^postgres(?:ql)?:\/\/(?:[^?#]*@)?([^?#]+)/.exec(url) ?? [];
  return place ?? redactText(url);
}
