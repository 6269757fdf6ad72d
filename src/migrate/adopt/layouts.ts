// How each tool lays out its folder: which files are migrations, which lead back, and their order.
import { basename, dirname } from "node:path";
import { InvalidInputError } from "../../postgres/index.ts";
import { changelogEntries, liquibase } from "./changelog.ts";
import type { FolderFiles, Layout, LayoutEntry } from "./folder.ts";
import { byVersion, compareText, listed, named, numbered, type LayoutReader } from "./numbered.ts";
import { POSTGRATOR, toolOfFile, type MigrationTool } from "./tools.ts";
import { yoyo } from "./yoyo.ts";

/** @param notices - filled with what was passed over */
export function layoutOf(files: FolderFiles, wanted: MigrationTool | undefined, notices: string[]): Layout {
  const sql = withoutOtherDatabases(
    files.names.filter((name) => name.toLowerCase().endsWith(".sql")),
    notices,
  );
  const tool = wanted ?? toolOfFolder(files, sql);
  refuseOtherDatabases(files);
  const entries = READERS[tool](files, sql, notices);
  return { tool, entries };
}

const OTHER_DATABASES: ReadonlySet<string> = new Set([
  "clickhouse",
  "cockroach",
  "cockroachdb",
  "h2",
  "mariadb",
  "mssql",
  "mysql",
  "oracle",
  "sqlite",
  "sqlite3",
  "sqlserver",
]);

/**
 * Leaves out what is for another database, told by a folder (`mysql/1_a.up.sql`) or a part of the name (`1_a.mysql.up.sql`), and what
 * is for any where PostgreSQL has a file of its own (`1_a.up.sql` beside `1_a.postgres.up.sql`).
 */
function withoutOtherDatabases(sql: readonly string[], notices: string[]): readonly string[] {
  const partsOf = (name: string): readonly string[] => name.toLowerCase().split(/[/.]/).slice(0, -1);
  const others = sql.filter((name) => partsOf(name).some((part) => OTHER_DATABASES.has(part)));
  const ours = sql.filter((name) => !others.includes(name));
  const general = new Set(ours.filter((name) => withoutDatabase(name) !== name).map(withoutDatabase));
  const kept = ours.filter((name) => !general.has(name));
  // A folder of MySQL's alone is refused by its SQL, with its place.
  if (kept.length === 0 || kept.length === sql.length) return sql;
  const left = sql.filter((name) => !kept.includes(name));
  notices.push(`passed over, because they are for other databases: ${listed(left)}`);
  return kept;
}

function withoutDatabase(name: string): string {
  return name.replace(/\.(?:pg|pgsql|postgres|postgresql)(?=\.)/i, "");
}

/** Prisma and Drizzle say which database their SQL is for. */
function refuseOtherDatabases(files: FolderFiles): void {
  const lock = files.names.find((name) => basename(name) === "migration_lock.toml");
  const journal = journalOf(files);
  const dialect =
    (lock === undefined ? undefined : /^\s*provider\s*=\s*"(\w+)"/m.exec(files.read(lock))?.[1]) ??
    (journal === undefined ? undefined : /"dialect"\s*:\s*"(\w+)"/.exec(files.read(journal))?.[1]);
  if (dialect === undefined || ["postgresql", "postgres", "pg", "cockroachdb"].includes(dialect)) return;
  throw new InvalidInputError(`these migrations are for ${dialect}, not PostgreSQL`, {
    hint: "give a folder of PostgreSQL migrations",
  });
}

function toolOfFolder(files: FolderFiles, sql: readonly string[]): MigrationTool {
  if (journalOf(files) !== undefined) return "drizzle";
  if (planOf(files) !== undefined) return "sqitch";
  if (changelogEntries(files).length > 0) return "liquibase";
  if (sql.some((name) => /(?:^|\/)committed\/[^/]+\.sql$/.test(name))) return "graphile-migrate";
  if (sql.some((name) => basename(name) === "migration.sql" && files.has(`${dirname(name)}/snapshot.json`)))
    return "drizzle";
  const counts = new Map<MigrationTool, number>();
  for (const name of sql) {
    const tool = toolOfFile(files.fullPath(name), files.read(name));
    counts.set(tool, (counts.get(tool) ?? 0) + 1);
  }
  // Files of other kinds lie about (seeds, dumps): what most files say counts, and "plain" only when nothing else is said.
  const told = [...counts].filter(([tool]) => tool !== "plain").sort((a, b) => b[1] - a[1]);
  const [first] = told;
  if (first !== undefined && first[1] * 4 >= sql.length) {
    if (first[0] === "golang-migrate" && (counts.has("sqlx") || files.isBesideSqlx())) return "sqlx";
    return first[0] === "diesel" && (counts.has("hasura") || files.isBesideHasura()) ? "hasura" : first[0];
  }
  if (first === undefined && sql.some((name) => /^\d+_/.test(basename(name))) && files.isBesideSqlx()) return "sqlx";
  return nearest(files, "atlas.sum") === undefined ? "plain" : "atlas";
}

const READERS: Readonly<Record<MigrationTool, LayoutReader>> = {
  atlas: numbered("text"),
  dbmate: numbered("number"),
  diesel: folders("up.sql"),
  drizzle,
  flyway,
  "golang-migrate": numbered("number"),
  goose: numbered("number"),
  "graphile-migrate": graphile,
  hasura,
  liquibase,
  "node-pg-migrate": numbered("number"),
  plain: numbered("number"),
  play: numbered("number"),
  postgrator,
  prisma: folders("migration.sql"),
  "sql-migrate": numbered("number"),
  sqitch,
  sqlx: numbered("number"),
  supabase: numbered("text"),
  tern: numbered("number"),
  yoyo,
};

/** `20240131093000_init/up.sql` with `down.sql` beside it (Diesel, Hasura), `…/migration.sql` (Prisma, Drizzle 1). */
function folders(up: "up.sql" | "migration.sql", order = compareText): LayoutReader {
  return (files, sql, notices) => {
    const ups = sql.filter((name) => basename(name) === up);
    const entries = ups.map((name): LayoutEntry => {
      const folder = dirname(name);
      const down = `${folder}/down.sql`;
      // Sourcegraph's folders are like Diesel's, with metadata.yaml.
      const metadata = ["metadata.toml", "diesel.toml", "metadata.yaml"]
        .map((file) => `${folder}/${file}`)
        .find((file) => files.has(file));
      const isAlone =
        metadata !== undefined &&
        /^\s*(?:run_in_transaction\s*=\s*false|createIndexConcurrently\s*:\s*true)\b/m.test(files.read(metadata));
      const [, version = basename(folder), title = basename(folder)] = /^([\d-]+)_(.+)$/.exec(basename(folder)) ?? [];
      return {
        version,
        name: title,
        up: name,
        down: sql.includes(down) ? down : undefined,
        runsInTransaction: isAlone ? false : undefined,
      };
    });
    notePassedOver(entries, sql, `because ${up} is the file that is run`, notices);
    return entries.sort((a, b) =>
      order(basename(dirname(a.up)).replaceAll("-", ""), basename(dirname(b.up)).replaceAll("-", "")),
    );
  };
}

function notePassedOver(entries: readonly LayoutEntry[], sql: readonly string[], why: string, notices: string[]): void {
  const used = new Set(entries.flatMap(({ up, down }) => [up, down]));
  const others = sql.filter((name) => !used.has(name));
  if (others.length > 0) notices.push(`passed over, ${why}: ${listed(others)}`);
}

/** `1612345678901_init.up.sql`, as Hasura wrote them before it made a folder for each, and still runs them. */
const HASURA_FILE = /^\d{13}_.+\.(?:up|down)\.sql$/;

function hasura(files: FolderFiles, sql: readonly string[], notices: string[]): readonly LayoutEntry[] {
  const old = sql.filter((name) => HASURA_FILE.test(basename(name)));
  const rest = sql.filter((name) => !old.includes(name));
  return [
    ...folders("up.sql", byVersion)(files, rest, notices),
    ...(old.length === 0 ? [] : numbered("number")(files, old, notices)),
  ].sort((a, b) => byVersion(a.version, b.version));
}

/** It reads `2.do.users.sql` and `2.undo.users.sql` and no other names. */
function postgrator(files: FolderFiles, sql: readonly string[], notices: string[]): readonly LayoutEntry[] {
  const entries = numbered("number")(
    files,
    sql.filter((name) => POSTGRATOR.test(basename(name))),
    notices,
  );
  notePassedOver(entries, sql, "because their names say neither do nor undo", notices);
  return entries;
}

function drizzle(files: FolderFiles, sql: readonly string[], notices: string[]): readonly LayoutEntry[] {
  const journal = journalOf(files);
  if (journal === undefined) return folders("migration.sql")(files, sql, notices);
  const folder = dirname(dirname(journal));
  const inFolder = (name: string): string => (folder === "." ? name : `${folder}/${name}`);
  const parsed: unknown = parseJson(files.read(journal), journal);
  const tags = entriesOf(parsed);
  const entries = tags.map((tag): LayoutEntry => {
    const down = [`${tag}.down.sql`, `down/${tag}.sql`, `${tag}_down.sql`]
      .map(inFolder)
      .find((name) => sql.includes(name));
    return { ...named(`${tag}.sql`), up: inFolder(`${tag}.sql`), down };
  });
  const used = new Set(entries.flatMap(({ up, down }) => [up, down]));
  const unused = sql.filter((name) => !used.has(name) && dirname(name) === folder);
  if (unused.length > 0) notices.push(`passed over, because the journal does not name them: ${listed(unused)}`);
  return entries;
}

function journalOf(files: FolderFiles): string | undefined {
  return nearest(files, "meta/_journal.json");
}

/** The file of that name with the fewest folders above it: below it may lie the folders of other projects. */
function nearest(files: FolderFiles, wanted: string): string | undefined {
  const depth = (name: string): number => name.split("/").length;
  return files.names
    .filter((name) => name === wanted || name.endsWith(`/${wanted}`))
    .sort((a, b) => depth(a) - depth(b) || compareText(a, b))[0];
}

function entriesOf(journal: unknown): readonly string[] {
  const entries: unknown =
    typeof journal === "object" && journal !== null && "entries" in journal ? journal.entries : [];
  if (!Array.isArray(entries)) return [];
  return entries
    .filter((entry): entry is { tag: string; idx?: unknown } => {
      const tag: unknown = typeof entry === "object" && entry !== null && "tag" in entry ? entry.tag : undefined;
      return typeof tag === "string";
    })
    .sort((a, b) => Number(a.idx ?? 0) - Number(b.idx ?? 0))
    .map(({ tag }) => tag);
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InvalidInputError(`${name} is not JSON`, {
      cause,
      hint: "Drizzle's journal lists the migrations: get it back",
    });
  }
}

function flyway(files: FolderFiles, sql: readonly string[], notices: string[]): readonly LayoutEntry[] {
  const parsed = sql.flatMap((file) => {
    const [, kind, version = "", name = ""] = /^(V|U|B|R)(\d[\w.]*?)?__(.+)\.sql$/.exec(basename(file)) ?? [];
    if (kind === undefined || (kind === "R") !== (version === "")) return [];
    const conf = `${file}.conf`;
    const isAlone = files.has(conf) && /^\s*executeInTransaction\s*=\s*false\b/im.test(files.read(conf));
    return [
      { kind, version: version.replaceAll("_", "."), name, file, runsInTransaction: isAlone ? false : undefined },
    ];
  });
  const named = new Set(parsed.map(({ file }) => file));
  const others = sql.filter((name) => !named.has(name));
  if (others.length > 0)
    notices.push(`passed over, because their names are not those of migrations: ${listed(others)}`);
  const ofKind = (kind: string): typeof parsed => parsed.filter((item) => item.kind === kind);
  const versions = new Set(ofKind("V").map(({ version }) => version));
  // Refinery writes U for a version out of the row; Flyway's U undoes the V of the same number.
  const undo = new Map(ofKind("U").flatMap((item) => (versions.has(item.version) ? [[item.version, item.file]] : [])));
  const forward = [...ofKind("V"), ...ofKind("U").filter(({ version }) => !versions.has(version))];
  const baseline = ofKind("B")
    .sort((a, b) => byVersion(a.version, b.version))
    .at(-1);
  const after = forward.filter(({ version }) => baseline === undefined || byVersion(version, baseline.version) > 0);
  const entry = ({ version, name, file, runsInTransaction }: (typeof parsed)[number]): LayoutEntry => ({
    version,
    name,
    up: file,
    down: undo.get(version),
    runsInTransaction,
  });
  return [
    ...(baseline === undefined ? [] : [entry(baseline)]),
    ...after.sort((a, b) => byVersion(a.version, b.version)).map(entry),
    ...ofKind("R")
      .sort((a, b) => compareText(a.name, b.name))
      .map(entry),
  ];
}

function graphile(files: FolderFiles, sql: readonly string[]): readonly LayoutEntry[] {
  const committed = sql.filter((name) => /(?:^|\/)committed\/[^/]+\.sql$/.test(name));
  const names = committed.length > 0 ? committed : sql.filter((name) => /^--!\s*Previous:/m.test(files.read(name)));
  return names
    .map((up): LayoutEntry => ({ ...named(up), up, down: undefined }))
    .sort((a, b) => compareText(basename(a.up), basename(b.up)));
}

function planOf(files: FolderFiles): string | undefined {
  return nearest(files, "sqitch.plan");
}

/** A change that was made again later has its first form in `deploy/name@tag.sql`, with the first tag after it. */
function sqitch(files: FolderFiles, sql: readonly string[]): readonly LayoutEntry[] {
  const plan = planOf(files);
  if (plan === undefined)
    throw new InvalidInputError("there is no sqitch.plan in the folder", { hint: "give the folder with the plan" });
  const folder = dirname(plan) === "." ? "" : `${dirname(plan)}/`;
  const lines = files
    .read(plan)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^[%#]/.test(line));
  const entries: LayoutEntry[] = [];
  lines.forEach((line, index) => {
    if (line.startsWith("@")) return;
    const name = /^[+-]?\s*([^\s[]+)/.exec(line)?.[1] ?? "";
    const isMadeAgain = lines.slice(index + 1).some((later) => new RegExp(`^${escaped(name)}[\\s[]`).test(later));
    const tag = isMadeAgain
      ? /^@(\S+)/.exec(lines.slice(index + 1).find((later) => later.startsWith("@")) ?? "")?.[1]
      : undefined;
    const file = `${name}${tag === undefined ? "" : `@${tag}`}.sql`;
    const down = `${folder}revert/${file}`;
    entries.push({
      version: String(entries.length + 1),
      name,
      up: `${folder}deploy/${file}`,
      down: sql.includes(down) ? down : undefined,
    });
  });
  return entries;
}

function escaped(text: string): string {
  return text.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&");
}
