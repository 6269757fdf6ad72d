// Reads a folder of migrations of any tool whose migrations are SQL: whose it is, and its migrations in one shape, in the order in
// which that tool runs them.
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileFault, withFileFaults } from "../../postgres/file-fault.ts";
import { identifier, InvalidInputError, literal } from "../../postgres/index.ts";
import type { MigrationCode } from "../code/run-code.ts";
import { filesBelow } from "../files-below.ts";
import { byNameWithNumbers, decode } from "../sql-files.ts";
import { isBesideSqlx } from "./beside.ts";
import { codeMigrationsOf } from "./code.ts";
import { layoutOf } from "./layouts.ts";
import { listed } from "./numbered.ts";
import { irreversibleReason, splitAtMarks, splitChangesets } from "./parts.ts";
import { textWithValues } from "./templates.ts";
import {
  MIGRATION_TOOLS,
  scopeWithoutTransaction,
  transactionScope,
  type MigrationTool,
  type TransactionScope,
} from "./tools.ts";

/** One direction of a migration. */
export interface MigrationScript {
  /** Path inside the folder, for messages. */
  readonly file: string;
  /** The whole file. */
  readonly text: string;
  /** The part of `text` that runs; everything else is blank, so positions are the file's. */
  readonly sql: string;
  readonly transaction: TransactionScope;
  /** Of a migration in code: runs instead of `sql`, which only stands for it. */
  readonly code?: MigrationCode | undefined;
}

export interface AdoptedMigration {
  /** As the tool counts, e.g. `0007`, `20240131093000`, `1.2.3`, `anna:12`; empty for Flyway's repeatable ones. */
  readonly version: string;
  readonly name: string;
  readonly tool: MigrationTool;
  readonly up: MigrationScript;
  /** `undefined` when nothing leads back. */
  readonly down: MigrationScript | undefined;
  /** What `-- irreversible: why` says in the file. */
  readonly irreversible: string | undefined;
}

export interface MigrationFolder {
  readonly tool: MigrationTool;
  readonly migrations: readonly AdoptedMigration[];
  /** What was passed over or is doubtful, one sentence each. */
  readonly notices: readonly string[];
}

export interface ReadMigrationFolderOptions {
  /** Whose folder it is, where the files do not tell or tell wrongly. */
  readonly tool?: MigrationTool | undefined;
  /** Put in place of `${name}` (Flyway), `:name` (psql, graphile-migrate) and `{{.name}}` (tern); positions are then those after it. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
}

/**
 * Reads the migrations of a folder. The tool is told by what lies there: file names, marks in the text, `meta/_journal.json`,
 * `sqitch.plan`, `atlas.sum`. Nothing is run or parsed as SQL.
 *
 * @param path - the folder the tool is pointed at; one above it will do where only one such folder lies inside
 * @throws InvalidInputError when the folder is missing, holds no SQL migration, or a file that its plan names is missing
 */
export function readMigrationFolder(path: string, options: ReadMigrationFolderOptions = {}): MigrationFolder {
  if (options.tool !== undefined && !MIGRATION_TOOLS.includes(options.tool)) {
    throw new InvalidInputError(`there is no migration tool ${String(options.tool)}`, {
      hint: `known are ${MIGRATION_TOOLS.join(", ")}`,
    });
  }
  const files = new FolderFiles(path, options.variables);
  const inCode = codeMigrationsOf(files);
  if (files.names.every((name) => !name.toLowerCase().endsWith(".sql"))) {
    if (inCode.length > 0) return { tool: "dbmate", migrations: inCode, notices: [] };
    throw new InvalidInputError(`the folder ${path} holds no .sql file`, {
      hint: "give the folder that holds the migrations; those that other tools keep in a programming language cannot be read",
    });
  }
  const notices: string[] = [];
  const layout = layoutOf(files, options.tool, notices);
  const unset = new Set<string>();
  const inSql = layout.entries.flatMap((entry) => migrationsOf(files, layout.tool, entry, notices, unset));
  const migrations =
    layout.tool !== "dbmate" || inCode.length === 0
      ? inSql
      : [...inSql, ...inCode].sort((a, b) => byNameWithNumbers(a.up.file, b.up.file));
  if (unset.size > 0) notices.push(`variables without a value stand for their own names: ${listed([...unset])}`);
  if (migrations.length === 0) {
    throw new InvalidInputError(`the folder ${path} holds no migration of ${layout.tool}`, {
      hint: "name the tool, or give the folder that holds the migrations",
    });
  }
  const seen = new Map<string, string>();
  for (const { version, up } of migrations) {
    const other = version === "" || COUNTS_BY_NAME.has(layout.tool) ? undefined : seen.get(version);
    if (other !== undefined && other !== up.file) notices.push(`${other} and ${up.file} have the same version`);
    seen.set(version, up.file);
  }
  return { tool: layout.tool, migrations, notices };
}

/** Tools that know a migration by the whole name of its file, or of its folder: equal numbers are nothing to them. */
const COUNTS_BY_NAME: ReadonlySet<MigrationTool> = new Set([
  "drizzle",
  "graphile-migrate",
  "liquibase",
  "node-pg-migrate",
  "prisma",
  "sql-migrate",
  "yoyo",
]);

/** A migration's files, before they are read. */
export interface LayoutEntry {
  readonly version: string;
  readonly name: string;
  readonly up: string;
  readonly down: string | undefined;
  /** Said outside the SQL, e.g. in Diesel's metadata.toml. */
  readonly runsInTransaction?: boolean | undefined;
}

export interface Layout {
  readonly tool: MigrationTool;
  readonly entries: readonly LayoutEntry[];
}

/** The files of a folder by their path in it, with `/` between the parts; hidden ones and node_modules are not there. */
export class FolderFiles {
  readonly path: string;
  readonly names: readonly string[];
  readonly #texts = new Map<string, string>();
  readonly #variables: readonly (readonly [string, string])[];

  constructor(path: string, variables: Readonly<Record<string, string>> = {}) {
    this.#variables = Object.entries(variables);
    const info = withFileFaults(path, () => statSync(path, { throwIfNoEntry: false }));
    if (info?.isDirectory() !== true) {
      const what = info === undefined ? "does not exist" : "is not a folder";
      throw new InvalidInputError(`${path} ${what}`, { hint: "give the folder that holds the migrations" });
    }
    this.path = resolve(path);
    this.names = [...filesBelow(path)].sort();
  }

  has(name: string): boolean {
    return existsSync(join(this.path, name));
  }

  /** Hasura's folders are like Diesel's; its config.yaml is two above this one (`migrations/default`), or where the folder begins. */
  isBesideHasura(): boolean {
    return ["", "..", "../.."].some((above) => {
      const file = join(this.path, above, "config.yaml");
      return existsSync(file) && /^\s*metadata_directory\s*:/m.test(readFileSync(file, "utf8"));
    });
  }

  isBesideSqlx(): boolean {
    return isBesideSqlx(this.path);
  }

  read(name: string): string {
    const known = this.#texts.get(name);
    if (known !== undefined) return known;
    let bytes: Buffer;
    try {
      bytes = readFileSync(join(this.path, name));
    } catch (cause) {
      if (existsSync(join(this.path, name))) throw fileFault(cause, join(this.path, name)) ?? cause;
      throw new InvalidInputError(`${join(this.path, name)} cannot be read`, {
        cause,
        hint: "the folder's plan names it: get the file back",
      });
    }
    const text = this.#variables.reduce(
      (whole, [variable, value]) => withVariable(whole, variable, value),
      decode(bytes, name),
    );
    this.#texts.set(name, text);
    return text;
  }

  /** The value that was given for one. */
  variable(name: string): string | undefined {
    return this.#variables.find(([known]) => known === name)?.[1];
  }

  /** The path with what lies above the folder, because some tools are told by where they keep their files. */
  fullPath(name: string): string {
    return `${basename(dirname(this.path))}/${basename(this.path)}/${name}`;
  }
}

function migrationsOf(
  files: FolderFiles,
  tool: MigrationTool,
  entry: LayoutEntry,
  notices: string[],
  unset: Set<string>,
): readonly AdoptedMigration[] {
  const textOf = (name: string): string => textWithValues(files, tool, name, unset);
  const text = textOf(entry.up);
  const changesets = tool === "liquibase" ? splitChangesets(text) : [];
  if (changesets.length > 0) {
    const others = changesets
      .filter((changeset) => !changeset.isForPostgres)
      .map(({ author, id }) => `${author}:${id}`);
    if (others.length > 0) notices.push(`passed over in ${entry.up}, by dbms or ignore: ${listed(others)}`);
    const ours = changesets.filter((changeset) => changeset.isForPostgres);
    return ours.map(({ author, id, up, down, transaction }): AdoptedMigration => {
      const script = (sql: string): MigrationScript => ({ file: entry.up, text, sql, transaction });
      return {
        version: `${author}:${id}`,
        name: entry.name,
        tool,
        up: script(up),
        down: down === undefined ? undefined : script(down),
        irreversible: irreversibleReason(up),
      };
    });
  }
  const { version, name } = entry;
  const parts = splitAtMarks(text);
  const scriptOf = (file: string, whole: string, sql: string): MigrationScript => ({
    file,
    text: whole,
    sql: forServer(tool, sql),
    // A mark outside the two parts (goose's NO TRANSACTION) is about both; dbmate's stands in each.
    transaction:
      entry.runsInTransaction === false
        ? scopeWithoutTransaction(tool)
        : transactionScope(tool, tool === "goose" ? whole : sql),
  });
  const up = scriptOf(entry.up, text, parts.up);
  let down = parts.down === undefined ? undefined : scriptOf(entry.up, text, parts.down);
  if (entry.down !== undefined) {
    const downText = textOf(entry.down);
    down = scriptOf(entry.down, downText, downText);
  }
  return [{ version, name, tool, up, down, irreversible: irreversibleReason(text) }];
}

/** What Flyway itself puts in where nothing is given, for a schema named nowhere else: positions are then those after it. */
const FLYWAY_VARIABLES: readonly (readonly [string, string])[] = [
  ["flyway:defaultSchema", "public"],
  ["flyway:table", "flyway_schema_history"],
];

/** graphile-migrate puts names in place of `:DATABASE_OWNER` and others: one of the same length, so that positions stay. */
function forServer(tool: MigrationTool, sql: string): string {
  if (tool === "flyway")
    return FLYWAY_VARIABLES.reduce((whole, [name, value]) => whole.replaceAll(`\${${name}}`, value), sql);
  if (tool !== "graphile-migrate") return sql;
  return sql.replaceAll(/(?<![:\w]):([A-Z][A-Z_]+)\b/g, (_, name: string) => ` ${name.toLowerCase()}`);
}

function withVariable(text: string, name: string, value: string): string {
  const escaped = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);
  const forms = new RegExp(
    // psql reads the colons of a cast first: what follows an even number of them is a variable.
    String.raw`\$\{${escaped}\}|\{\{\s*(?:\.?${escaped}|index\s+\.\w+\s+"${escaped}")\s*\}\}|(?:(?<![:\w])|(?<=(?<!:)(?:::)+)):(?:${escaped}\b|"${escaped}"|'${escaped}')`,
    "g",
  );
  return text.replaceAll(forms, (form) =>
    form.startsWith(":'") ? literal(value) : form.startsWith(':"') ? identifier(value) : value,
  );
}
