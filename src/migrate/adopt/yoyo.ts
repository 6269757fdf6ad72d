// yoyo's migrations: `-- depends:` tells the order, `….rollback.sql` leads back.
import { basename } from "node:path";
import type { FolderFiles, LayoutEntry } from "./folder.ts";
import { compareText, listed, named } from "./numbered.ts";

const ROLLBACK = /\.rollback\.sql$/i;

/** Each after those it depends on, otherwise by name. */
export function yoyo(files: FolderFiles, sql: readonly string[], notices: string[]): readonly LayoutEntry[] {
  const ups = new Map(sql.filter((name) => !ROLLBACK.test(name)).map((name) => [idOf(name), name]));
  const ordered = new Set<string>();
  const missing: string[] = [];
  const visit = (id: string, above: ReadonlySet<string>): void => {
    const name = ups.get(id);
    if (name === undefined || ordered.has(name) || above.has(id)) return;
    for (const wanted of dependenciesOf(files.read(name))) {
      if (!ups.has(wanted)) missing.push(`${id} on ${wanted}`);
      visit(wanted, new Set([...above, id]));
    }
    ordered.add(name);
  };
  for (const id of [...ups.keys()].sort(compareText)) visit(id, new Set());
  if (missing.length > 0) notices.push(`what they depend on is not there as SQL: ${listed(missing)}`);
  const lonely = sql.filter((name) => ROLLBACK.test(name) && !ups.has(idOf(name)));
  if (lonely.length > 0) notices.push(`these lead back from a migration that is not there: ${listed(lonely)}`);
  return [...ordered].map((up): LayoutEntry => {
    const down = up.replace(/\.sql$/i, ".rollback.sql");
    return { ...named(up), up, down: sql.includes(down) ? down : undefined };
  });
}

function idOf(name: string): string {
  return basename(name)
    .replace(ROLLBACK, "")
    .replace(/\.sql$/i, "");
}

/** The names after `-- depends:`, on as many such lines as there are. */
function dependenciesOf(text: string): readonly string[] {
  return [...text.matchAll(/^--\s*depends:[ \t]*(.*)$/gm)].flatMap(([, names = ""]) =>
    names.split(/[\s,]+/).filter((name) => name !== ""),
  );
}
