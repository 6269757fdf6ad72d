// `pgsteward lint`: the hazards of SQL migrations of any tool, before they run.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Catalog } from "../../catalog/index.ts";
import { nearestWord } from "../../config/nearest.ts";
import type {
  LintConfig,
  LintFile,
  LintOptions,
  LintReport,
  LintSeverity,
  MigrationTool,
} from "../../migrate/index.ts";
import {
  besideReader,
  decode,
  isCodeMigration,
  LINT_RULES,
  lintSql,
  MIGRATION_TOOLS,
  readSqlFiles,
} from "../../migrate/linter.ts";
import { ERROR_CODES, InvalidInputError } from "../../postgres/errors.ts";
import type { CommandContext } from "../context.ts";
import { lintCacheFolder, lintCacheKey, readCachedReport, writeCachedReport } from "../lint-cache.ts";
import { lintGithub, lintSarif, lintText } from "../lint-formats.ts";
import type { Run } from "../command.ts";

const FAIL_LEVELS = ["error", "warning", "info", "never"] as const;
type FailLevel = (typeof FAIL_LEVELS)[number];
const SEVERITIES: readonly LintSeverity[] = ["info", "warning", "error"];
/** Where tools keep migrations, looked at when no path is given. */
export const USUAL_FOLDERS = ["migrations", "db/migrations", "drizzle", "prisma/migrations", "supabase/migrations"];

interface Flags {
  readonly serverVersion?: number;
  readonly schema?: string;
  readonly since?: string;
  readonly stdinName: string;
  readonly transaction?: "statement" | "file" | "batch";
  readonly tool?: MigrationTool;
  readonly sarif?: boolean;
  readonly github?: boolean;
  readonly failOn: FailLevel;
  readonly cache: boolean;
  readonly all?: boolean;
  readonly on?: readonly string[];
  readonly off?: readonly string[];
  readonly smallTableRows?: number;
  readonly maxInsertRows?: number;
  readonly requiredColumns?: readonly string[];
}

const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
};

export function lintCommand(run: Run): Command {
  const command = new Command("lint")
    .description("lint SQL migrations of any tool: locks, rewrites, data loss, and the safe form")
    .argument("[paths...]", `.sql files or folders, - for stdin; default: the first of ${USUAL_FOLDERS.join(", ")}`)
    .option(
      "--server-version <n>",
      "major version they will run on, 14 to 18; default: the database's, else 18",
      wholeNumber,
    )
    .option(
      "--schema <path>",
      "SQL file or folder of what exists already: built in a throw-away database, so answers are exact",
    )
    .option("--since <file>", "lint this file and later ones; the files before it have run already")
    .option("--stdin-name <file>", "with - as path: the name of what is read from stdin", "stdin.sql")
    .addOption(
      new Option(
        "--transaction <extent>",
        "what runs as one transaction, where names and marks do not tell it: each statement, each file, all files",
      ).choices(["statement", "file", "batch"]),
    )
    .addOption(
      new Option(
        "--tool <name>",
        "whose files they are, where names, marks and what lies beside them do not tell it",
      ).choices(MIGRATION_TOOLS),
    )
    .option("--small-table-rows <n>", "with --database: tables of at most so many rows are not live", wholeNumber)
    .option("--max-insert-rows <n>", "rows that one INSERT may write; default: 1000", wholeNumber)
    .option("--required-columns <names...>", "switch the rule required-columns on, for these")
    .option("--all", "house style too")
    .option("--on <rule...>", "switch rules on")
    .option("--off <rule...>", "switch rules off")
    .option("--sarif", "print SARIF 2.1.0")
    .option("--github", "print GitHub annotations")
    .addOption(
      new Option("--fail-on <severity>", "exit 1 when there is a finding of this severity or a worse one")
        .choices(FAIL_LEVELS)
        .default("error"),
    )
    .option("--no-cache", "neither read nor write the cache")
    .addHelpText(
      "before",
      `Examples:
  pgsteward lint migrations/ --since 20260801_orders.sql
  pgsteward lint change.sql --database postgres://localhost/app
  pgsteward lint change.sql --schema schema.sql --server-version 16 --sarif
  git show HEAD:db/7_x.sql | pgsteward lint - --stdin-name db/7_x.sql --github
`,
    );
  return command.action((paths: string[], flags: Flags) => run(command, (context) => lint(context, paths, flags)));
}

async function lint(context: CommandContext, paths: readonly string[], flags: Flags): Promise<number> {
  const config = configOf(flags);
  const stdin = paths.includes("-") ? await readStdin() : undefined;
  const all = filesOf(context, paths, flags, stdin);
  const { applied, files } = splitAt(all, flags.since);
  const report = await lintWith(context, files, flags, { serverVersion: flags.serverVersion, applied, config });
  if (flags.sarif === true)
    context.output.result(lintSarif(report), () => JSON.stringify(lintSarif(report), undefined, 2));
  else
    context.output.result(report, () =>
      flags.github === true ? lintGithub(report) : lintText(report, files, context.output.paint),
    );
  // What cannot be read was not linted: no --fail-on makes that good.
  if (report.findings.some(({ rule }) => rule === "syntax-error")) return ERROR_CODES.INVALID_SQL.exitCode;
  if (flags.failOn === "never") return 0;
  return SEVERITIES.slice(SEVERITIES.indexOf(flags.failOn)).some((severity) => report.counts[severity] > 0) ? 1 : 0;
}

async function lintWith(
  context: CommandContext,
  files: readonly LintFile[],
  flags: Flags,
  options: LintOptions,
): Promise<LintReport> {
  const lintKnowing = (catalog: Catalog): Promise<LintReport> => lintSql(files, { ...options, catalog });
  const url = context.options.database;
  if (flags.schema !== undefined && url !== undefined)
    throw new InvalidInputError("--schema and --database cannot both say what exists", { hint: "give one of them" });
  // Loaded where they are needed: a linter's start is waited for, and most runs need no database.
  if (url !== undefined) {
    const { openExisting, readCommandSettings } = await import("../context.ts");
    const { readCatalog } = await import("../../catalog/index.ts");
    const settings = await readCommandSettings(context);
    await using database = await openExisting(context, settings, url);
    return await lintKnowing(await readCatalog(database, { signal: context.signal }));
  }
  context.leaveNothingBehind();
  if (flags.schema !== undefined) {
    const { withLoadedSql } = await import("../loaded-sql.ts");
    const { readCatalog } = await import("../../catalog/index.ts");
    const path = resolve(context.cwd, flags.schema);
    return await withLoadedSql(path, context, async (database) => lintKnowing(await readCatalog(database)));
  }
  const folder = lintCacheFolder(context.env);
  const key = lintCacheKey(files, options);
  const cached = flags.cache ? readCachedReport(folder, key) : undefined;
  if (cached !== undefined) return cached;
  compileParserQuickly();
  const report = await lintSql(files, options);
  if (flags.cache) writeCachedReport(folder, key, report);
  return report;
}

/**
 * Tells V8 to translate WASM function by function, on first call, and not to optimise it: over 300 files the parser runs for a tenth
 * of the time that its optimisation takes (0.03 s against 0.5 s of CPU time, Node 20). Holds for the process, so only for one that opens no
 * database: PGlite is WASM too and runs long.
 */
function compileParserQuickly(): void {
  setFlagsFromString("--liftoff-only");
  setFlagsFromString("--wasm-lazy-compilation");
}

function configOf({ all, on = [], off = [], smallTableRows, maxInsertRows, requiredColumns }: Flags): LintConfig {
  const known = LINT_RULES.map(({ id }) => id);
  for (const rule of [...on, ...off]) {
    if (known.includes(rule)) continue;
    const nearest = nearestWord(rule, known);
    throw new InvalidInputError(`there is no lint rule ${rule}`, {
      hint: nearest === undefined ? "docs/lint.md names every rule" : `did you mean ${nearest}?`,
    });
  }
  const asked = requiredColumns === undefined ? on : [...on, "required-columns"];
  const entries = [...asked.map((rule) => [rule, "on"] as const), ...off.map((rule) => [rule, "off"] as const)];
  return {
    preset: all === true ? "all" : "recommended",
    rules: Object.fromEntries(entries),
    smallTableRows,
    maxInsertRows,
    requiredColumns,
  };
}

function filesOf(
  context: CommandContext,
  given: readonly string[],
  { stdinName, transaction, tool }: Pick<Flags, "stdinName" | "transaction" | "tool">,
  stdin: Buffer | undefined,
): readonly LintFile[] {
  const paths =
    given.length > 0 ? given : USUAL_FOLDERS.filter((folder) => existsSync(resolve(context.cwd, folder))).slice(0, 1);
  if (paths.length === 0) {
    throw new InvalidInputError("there is nothing to lint here", {
      hint: `give .sql files or a folder; without one these are tried: ${USUAL_FOLDERS.join(", ")}`,
    });
  }
  const toldBeside = besideReader();
  return paths.flatMap((path): readonly LintFile[] => {
    if (path === "-" && stdin !== undefined)
      return [{ name: stdinName, text: decode(stdin, stdinName), transaction, tool }];
    const full = resolve(context.cwd, path);
    const isFolder = statSync(full, { throwIfNoEntry: false })?.isDirectory() === true;
    const code = isFolder ? readdirSync(full).filter(isCodeMigration) : [];
    if (code.length > 0) context.output.note(`not linted, because it is code: ${code.sort().join(", ")}`);
    return readSqlFiles(full).map(({ name, text }): LintFile => {
      const file = isFolder ? join(full, name) : full;
      const shown = relative(context.cwd, file);
      const told = toldBeside(file, text);
      return { name: shown, text, tool: tool ?? told.tool, transaction: transaction ?? told.transaction };
    });
  });
}

async function readStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function splitAt(
  all: readonly LintFile[],
  since: string | undefined,
): { readonly applied: readonly LintFile[]; readonly files: readonly LintFile[] } {
  if (since === undefined) return { applied: [], files: all };
  const index = all.findIndex(({ name }) => name === since || name.replaceAll("\\", "/").endsWith(`/${since}`));
  if (index === -1) {
    throw new InvalidInputError(`${since} is not among the ${all.length} files`, {
      hint: "give a file's name as it stands in the folder",
    });
  }
  return { applied: all.slice(0, index), files: all.slice(index) };
}
