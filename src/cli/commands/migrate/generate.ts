// `pgsteward migrate generate`: the difference between the migrations and the wanted schema, as the next migration with its way back.
import { existsSync, readdirSync } from "node:fs";
import { relative, resolve } from "node:path";
import { Command, Option } from "commander";
import {
  describeChange,
  draftMigration,
  migrationName,
  planMigration,
  readRenamed,
  readSources,
  reverseRenames,
  summaryOf,
  writeMigration,
  type Plan,
  type PlanOptions,
  type Source,
  type SourceRead,
  type WrittenMigration,
} from "../../../migrate/index.ts";
import { InvalidInputError, StewardError } from "../../../postgres/index.ts";
import { wholeNumber } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { confirmByName } from "../../confirm.ts";
import {
  openWith,
  readCommandSettings,
  requireValid,
  withCasing,
  type CommandContext,
  type CommandSettings,
} from "../../context.ts";
import { withDecidedRenameOptions, decideRenames, type DecidedRenameOptions } from "../../renames.ts";
import { isDatabaseUrl, modelsOf, openSource, type NamedSource } from "../../sources.ts";

interface Options extends DecidedRenameOptions {
  readonly models?: readonly string[];
  readonly to?: string;
  readonly from?: string;
  readonly out?: string;
  readonly why?: string;
  readonly confirm?: string;
  readonly complete?: boolean;
  readonly owners?: boolean;
  readonly casing?: "snake_case" | "camelCase";
  readonly serverVersion?: number;
  readonly dryRun?: boolean;
  readonly idempotent?: boolean;
}

export const DEFAULT_FOLDER = "migrations";

export function generateCommand(run: Run): Command {
  const command = new Command("generate")
    .description("write the next migration: from what the migrations make to what the models or a schema say")
    .argument("<name>", "what it does, e.g. add_owner_to_agents")
    .option(
      "--models <paths...>",
      "modules that export Drizzle models; .sql files beside them (default: models of the settings)",
    )
    .option("--to <source>", "the wanted schema instead: a .sql file, a folder of migrations or a database URL")
    .option(
      "--from <folder>",
      "the migrations there are, of any tool (default: migrations of the settings, else ./migrations)",
    )
    .option("--out <folder>", "where the file goes (default: the folder of --from)")
    .option("--why <sentence>", "the reason, for the file's header")
    .option("--complete", "the models say everything: drop functions, triggers, grants … that they do not mention")
    .option("--owners", "compare owners, too (default: what is made belongs to whoever makes it)")
    .addOption(
      new Option("--casing <style>", "names of columns whose models give none").choices(["snake_case", "camelCase"]),
    )
    .option(
      "--server-version <major>",
      "plan for this PostgreSQL (default: that of the database of the settings, else 18)",
      wholeNumber,
    )
    .option("--confirm <name>", "the migration's name again: required when data will be lost")
    .option(
      "--idempotent",
      "statements that may run again, or where their object is there already; see below why this is not the default",
    )
    .option("--dry-run", "print the migration and write nothing")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate generate add_owner_to_agents --models src/db/schema.ts
  pgsteward migrate generate add_search --models src/db/schema.ts src/db/functions.sql --why "agents search by text"
  pgsteward migrate generate rename_state --models src/db/schema.ts --rename "column shop.orders.state -> status"
  pgsteward migrate generate drop_drafts --to schema.sql --confirm drop_drafts
  pgsteward migrate generate add_owner_to_agents --models src/db/schema.ts --idempotent

--idempotent is for files that something without a history runs, or that met a part of their work before. It is not the default:
IF NOT EXISTS and its like take a different object of the same name for the wanted one, so that the file succeeds where it did nothing.

Exit codes: 0 written, or nothing differs; 1 something differs that cannot be planned; 64 wrong use, data loss not confirmed,
or something may have been renamed and nobody said so.
`,
    );
  return withDecidedRenameOptions(command).action((name: string, options: Options) =>
    run(command, (context) => generate(context, name, options)),
  );
}

async function generate(context: CommandContext, given: string, options: Options): Promise<number> {
  const settings = withCasing(await readCommandSettings(context), options.casing);
  requireValid(settings);
  const name = migrationName(given);
  const folder = resolve(context.cwd, options.from ?? settings.settings.migrations ?? DEFAULT_FOLDER);
  const out = options.out === undefined ? folder : resolve(context.cwd, options.out);
  const wanted = wantedSource(settings, options);
  if (options.to === undefined || !isDatabaseUrl(options.to)) context.leaveNothingBehind();
  await using to = await openWanted(context, settings, wanted);
  const { from: present, to: first } = await readSources(presentSource(folder, options.from), to.source, {
    isComplete: options.complete,
    signal: context.signal,
  });
  const renames = await decideRenames(context, options, present.catalog, first.catalog);
  const serverVersion = await versionOf(context, settings, options.serverVersion);
  const ownersOf = ({ builder }: SourceRead): PlanOptions["owners"] =>
    options.owners === true ? { builder } : undefined;
  const draft = planMigration(present.catalog, first.catalog, { serverVersion, renames, owners: ownersOf(first) });
  const read =
    renames.length === 0 || to.source.kind !== "models" || options.complete === true
      ? first
      : await readRenamed(to.source, present.catalog, draft, { signal: context.signal });
  const up =
    read === first
      ? draft
      : planMigration(present.catalog, read.catalog, { serverVersion, renames, owners: ownersOf(read) });
  const down = planMigration(read.catalog, present.catalog, {
    serverVersion: serverVersion ?? present.catalog.serverVersion,
    renames: reverseRenames(up.renames, present.catalog),
    owners: ownersOf(present),
  });
  for (const notice of [...present.notices, ...read.notices]) context.output.note(notice);

  if (up.changes.length === 0) {
    context.output.result(context.output.json ? { file: null, changes: [] } : undefined, () => "no changes");
    return 0;
  }
  const notCovered = up.notCovered.map(describeChange);
  for (const line of notCovered) context.output.note(`not planned: ${line}`);
  if (up.steps.length === 0) {
    context.output.result(context.output.json ? { file: null, changes: up.changes, notCovered } : undefined, () =>
      ["nothing was written; this cannot be planned:", ...notCovered.map((line) => `  ${line}`)].join("\n"),
    );
    return 1;
  }
  const migration = draftMigration(
    out,
    { name, why: options.why, from: wanted.shown, up, down, idempotent: options.idempotent },
    new Date(),
  );
  if (options.dryRun !== true) {
    await confirmByName(context, name, options.confirm, lossesOf(up));
    writeMigration(out, migration);
  }
  const path = relative(context.cwd, resolve(out, migration.file));
  const { file: _, ...about } = migration;
  context.output.result(
    context.output.json ? { file: options.dryRun === true ? null : path, ...about, notCovered, up, down } : undefined,
    () => (options.dryRun === true ? migration.text.trimEnd() : describeWritten(path, up, down, migration)),
  );
  return 0;
}

export interface Wanted {
  readonly shown: string;
  /** A text that a person gave, or paths of models. */
  readonly to: string | readonly string[];
}

export function wantedSource(settings: CommandSettings, { models, to }: Pick<Options, "models" | "to">): Wanted {
  if (models !== undefined && to !== undefined)
    throw new InvalidInputError("--models and --to both say what is wanted", { hint: "give one of them" });
  if (to !== undefined) return { shown: isDatabaseUrl(to) ? "a database" : to, to };
  const paths = models ?? settings.settings.models;
  if (paths.length === 0) {
    throw new InvalidInputError("the wanted schema is not named", {
      hint: "give --models src/db/schema.ts or --to schema.sql, or name models in pgsteward.config.ts",
    });
  }
  return { shown: paths.join(", "), to: paths };
}

export async function openWanted(
  context: CommandContext,
  settings: CommandSettings,
  { to }: Wanted,
): Promise<NamedSource> {
  if (typeof to === "string") return openSource(context, settings, to);
  return { source: modelsOf(context, settings, to), [Symbol.asyncDispose]: () => Promise.resolve() };
}

/**
 * A folder that is missing or empty is the beginning of a project.
 *
 * @param named - the folder as a person gave it: one that is missing is then a mistyped one
 */
export function presentSource(folder: string, named?: string): Source {
  if (named !== undefined && !existsSync(folder)) {
    throw new InvalidInputError(`the folder of migrations ${named} does not exist`, {
      hint: "check the path; where there are no migrations yet, leave --from out or make the folder",
    });
  }
  const hasSql =
    existsSync(folder) &&
    readdirSync(folder, { recursive: true, encoding: "utf8" }).some((name) => name.toLowerCase().endsWith(".sql"));
  return hasSql ? { kind: "migrations", path: folder } : { kind: "empty" };
}

/** The version to plan for: as told, or that of the database that the settings name. */
export async function versionOf(
  context: CommandContext,
  settings: CommandSettings,
  major: number | undefined,
): Promise<number | undefined> {
  if (major !== undefined) {
    if (major < 14 || major > 99)
      throw new InvalidInputError(`PostgreSQL ${major} cannot be planned for`, {
        hint: "give 14 or a newer major version",
      });
    return major * 10_000;
  }
  const { url } = settings.settings.database;
  if (url === undefined || url.startsWith("pglite:")) return undefined;
  try {
    await using database = await openWith(settings, url);
    return (await database.serverFacts()).version.number;
  } catch (error) {
    if (!(error instanceof StewardError)) throw error;
    context.output.note(
      `planned for PostgreSQL 18: the database could not be asked for its version (${error.message})`,
    );
    return undefined;
  }
}

export function lossesOf({ steps }: Plan): readonly string[] {
  return [
    ...new Set(
      steps.flatMap(({ subject, hazards }) =>
        hazards.filter(({ kind }) => kind === "data loss").map(({ why }) => `${subject}: ${why}`),
      ),
    ),
  ];
}

function describeWritten(
  path: string,
  up: Plan,
  down: Plan,
  { irreversible, notRepeatable }: WrittenMigration,
): string {
  const hazards = up.steps.flatMap(({ subject, hazards: found }) =>
    found.map(({ kind, why }) => `  ${kind} (${subject}): ${why}`),
  );
  return [
    `${path}: ${up.steps.length} ${up.steps.length === 1 ? "statement" : "statements"} up, ${down.steps.length} down`,
    ...summaryOf(up.changes).map((line) => `  ${line}`),
    ...new Set(hazards),
    ...(irreversible === undefined ? [] : [`  irreversible: ${irreversible}`]),
    ...notRepeatable.map(
      ({ direction, sql, why }) => `  not repeatable (${direction}): ${sql.split("\n", 1)[0] ?? ""}: ${why}`,
    ),
  ].join("\n");
}
