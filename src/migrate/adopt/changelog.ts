// Liquibase's changelogs in YAML, XML and JSON, as far as they name files of SQL: which changesets run them, in which order, and which
// of them lead back. Changes that are not SQL are not read.
import { basename, dirname, posix } from "node:path";
import { byNameWithNumbers } from "../sql-files.ts";
import type { FolderFiles, LayoutEntry } from "./folder.ts";
import { listed } from "./numbered.ts";
import { LIQUIBASE, splitChangesets } from "./parts.ts";

const CHANGELOG = /\.(?:ya?ml|xml|json)$/i;
const ROOT = /(?:master|root|changelog)[^/]*\.(?:ya?ml|xml|json)$/i;
/** What matters of all three forms: `changeSet:`, `<changeSet id="1" author="a">`, `"rollback": [`, `path: a.sql`. */
const TOKEN =
  /(<\/rollback>|\bchanges\b(?=["']?\s*:))|\b(changeSet|includeAll|include|rollback)\b(?=["']?\s*[:>\s])|\b(id|author|path|file)["']?\s*[:=]\s*(?:"([^"\n]*)"|'([^'\n]*)'|([^\s<>,}]+))/g;
/** Changelogs that include each other end here. */
const DEEPEST = 10;

/** The changesets that run SQL files, from the changelog that lies nearest; empty without one. */
export function changelogEntries(files: FolderFiles): readonly LayoutEntry[] {
  const depth = (name: string): number => name.split("/").length;
  const [root] = files.names
    .filter((name) => ROOT.test(name) && files.read(name).includes("databaseChangeLog"))
    .sort((a, b) => Number(isRoot(b)) - Number(isRoot(a)) || depth(a) - depth(b) || byNameWithNumbers(a, b));
  return root === undefined ? [] : entriesIn(files, root, 0);
}

function isRoot(name: string): boolean {
  return /master|root/i.test(basename(name));
}

interface OpenChangeset {
  id: string;
  author: string;
  readonly ups: string[];
  readonly downs: string[];
}

function entriesIn(files: FolderFiles, changelog: string, depth: number): readonly LayoutEntry[] {
  if (depth > DEEPEST) return [];
  const entries: LayoutEntry[] = [];
  let changeset: OpenChangeset | undefined;
  let isDown = false;
  let takesAll = false;
  const close = (): void => {
    if (changeset !== undefined) entries.push(...entriesOfChangeset(changeset));
    changeset = undefined;
    isDown = false;
  };
  for (const [, ends, opens, key, ...values] of files.read(changelog).matchAll(TOKEN)) {
    if (ends !== undefined) isDown = false;
    else if (opens === "rollback") isDown = true;
    else if (opens !== undefined) {
      close();
      takesAll = opens === "includeAll";
      if (opens === "changeSet") changeset = { id: "", author: "", ups: [], downs: [] };
    } else {
      const value = values.find((text) => text !== undefined) ?? "";
      if (key === "id" || key === "author") {
        if (changeset !== undefined && changeset[key] === "") changeset[key] = value;
      } else if (changeset !== undefined) {
        const file = fileNamed(files, changelog, value, /\.sql$/i);
        if (file !== undefined) changeset[isDown ? "downs" : "ups"].push(file);
      } else {
        const included = takesAll ? filesBelow(files, changelog, value) : [fileNamed(files, changelog, value, /./)];
        for (const name of included) {
          if (name === undefined || name === changelog) continue;
          if (CHANGELOG.test(name)) entries.push(...entriesIn(files, name, depth + 1));
          else if (/\.sql$/i.test(name)) entries.push(entryOf("", name, undefined));
        }
      }
    }
  }
  close();
  return entries;
}

/** With several files in a changeset the ways back are told apart only where there is one for each. */
function entriesOfChangeset({ id, author, ups, downs }: OpenChangeset): readonly LayoutEntry[] {
  return ups.map((up, index) =>
    entryOf(`${author}:${id}`, up, ups.length === downs.length ? downs[downs.length - 1 - index] : undefined),
  );
}

function entryOf(version: string, up: string, down: string | undefined): LayoutEntry {
  return { version, name: basename(up).replace(/\.sql$/i, ""), up, down };
}

/** Paths begin where the changelog lies, or at one of Liquibase's search paths, which are not known here. */
function fileNamed(files: FolderFiles, changelog: string, path: string, kind: RegExp): string | undefined {
  const plain = path.replace(/^classpath\*?:/, "").replace(/^\//, "");
  if (!kind.test(plain)) return undefined;
  const beside = posix.normalize(posix.join(dirname(changelog), plain));
  if (files.names.includes(beside)) return beside;
  const rest = posix.normalize(plain).replace(/^(?:\.\.?\/)+/, "");
  return files.names
    .filter((name) => name === rest || name.endsWith(`/${rest}`) || rest.endsWith(`/${name}`))
    .sort((a, b) => b.length - a.length)[0];
}

function filesBelow(files: FolderFiles, changelog: string, path: string): readonly string[] {
  const folder = posix.normalize(posix.join(dirname(changelog), path.replace(/^classpath\*?:/, ""))).replace(/\/$/, "");
  const last = basename(folder);
  const below = (wanted: string): readonly string[] => files.names.filter((name) => `/${name}`.includes(`/${wanted}/`));
  const found = below(folder);
  return [...(found.length > 0 ? found : below(last))]
    .filter((name) => CHANGELOG.test(name) || /\.sql$/i.test(name))
    .sort(byNameWithNumbers);
}

/** In the order of the changelog, else formatted files by name. */
export function liquibase(files: FolderFiles, sql: readonly string[], notices: string[]): readonly LayoutEntry[] {
  const formatted = sql.filter(
    (name) => LIQUIBASE.test(files.read(name)) && splitChangesets(files.read(name)).length > 0,
  );
  const named = changelogEntries(files).filter(({ up }) => sql.includes(up));
  const used = new Set(named.length === 0 ? formatted : named.flatMap(({ up, down }) => [up, down]));
  const others = sql.filter((name) => !used.has(name));
  const why = named.length === 0 ? "they hold no changeset" : "the changelog does not name them";
  if (others.length > 0) notices.push(`passed over, because ${why}: ${listed(others)}`);
  return named.length > 0 ? named : [...formatted].sort(byNameWithNumbers).map((up) => entryOf("", up, undefined));
}
