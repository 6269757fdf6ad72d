// Files whose names lead with a number: their versions, their order, and which of them lead back.
import { basename } from "node:path";
import { byNameWithNumbers } from "../sql-files.ts";
import type { FolderFiles, LayoutEntry } from "./folder.ts";
import { isDownFile, undoesAnother } from "./parts.ts";

/** @param notices - filled with what was passed over */
export type LayoutReader = (files: FolderFiles, sql: readonly string[], notices: string[]) => readonly LayoutEntry[];

/** `0001_init.sql` alone, or in a pair with `0001_init.down.sql`. */
export function numbered(order: "number" | "text"): LayoutReader {
  return (files, sql, notices) => {
    const downs = new Map<string, string>();
    const ups: string[] = [];
    for (const name of sql) {
      if (isDownFile(basename(name)) || isInDownFolder(name) || undoesAnother(name, sql))
        downs.set(pairKey(name), name);
      else ups.push(name);
    }
    const numberedUps = ups.filter((name) => /^[vV]?\d/.test(basename(name)));
    // Without a number in any name the names alone give the order (`a_init.sql`).
    const chosen = numberedUps.length > 0 ? numberedUps : ups;
    const inNumberedFolders = numberedUps.length === 0 && ups.every((name) => FOLDER_VERSION.test(name));
    const passedOver = ups.filter((name) => !chosen.includes(name));
    if (passedOver.length > 0) notices.push(`passed over, because no number leads their names: ${listed(passedOver)}`);
    const entries = chosen.map((up): LayoutEntry => {
      const version = inNumberedFolders ? FOLDER_VERSION.exec(up)?.[1] : undefined;
      return { ...named(up), ...(version === undefined ? {} : { version }), up, down: downs.get(pairKey(up)) };
    });
    const paired = new Set(entries.map(({ down }) => down));
    const lonely = [...downs.values()].filter((name) => !paired.has(name));
    if (lonely.length > 0) notices.push(`these lead back from a migration that is not there: ${listed(lonely)}`);
    return entries.sort(
      order === "text"
        ? (a, b) => (a.up < b.up ? -1 : 1)
        : (a, b) => byVersion(a.version, b.version) || byNameWithNumbers(a.up, b.up),
    );
  };
}

/** `v1.10/add_index.sql`: the folder's name counts where the files have no numbers. */
const FOLDER_VERSION = /(?:^|\/)[vV]?(\d+(?:[._]\d+)*)\/[^/]+$/;

function isInDownFolder(name: string): boolean {
  return /(?:^|\/)(?:down|rollback|revert|undo)s?\/[^/]+$/i.test(name);
}

/** Equal for the two files of a pair: `up/001_a.sql` and `down/001_a.sql`, `001_a.up.sql` and `001_a.down.sql`. */
function pairKey(name: string): string {
  return name
    .replace(/(?:^|\/)(?:up|down|deploy|rollback|revert|undo)s?\/(?=[^/]+$)/i, "/")
    .replace(/(^|\/)(\d+)\.(?:do|undo)(?=\.)/i, "$1$2")
    .replace(/(?:\.tx)?[._-](?:up|down|undo|rollback|revert|reverse|backout)\.sql$/i, "")
    .replace(/\.sql$/i, "")
    .replace(/^\//, "");
}

export function named(file: string): { readonly version: string; readonly name: string } {
  const stem = basename(pairKey(file));
  const [, version = "", name = ""] = /^[vV]?(\d+(?:(?:[._-]|T(?=\d))\d+)*)(?:[._-]+|$)(.*)$/.exec(stem) ?? [];
  return version === "" ? { version: stem, name: stem } : { version, name: name === "" ? stem : name };
}

/** Numbers part by part: 2 before 10, 1.9 before 1.10, a long timestamp as a whole. */
export function byVersion(a: string, b: string): number {
  const left = a.split(/[._-]/);
  const right = b.split(/[._-]/);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const [x = "0", y = "0"] = [left[index], right[index]];
    if (/^\d+$/.test(x) && /^\d+$/.test(y)) {
      const order = BigInt(x) - BigInt(y);
      if (order !== 0n) return order < 0n ? -1 : 1;
    } else if (x !== y) return compareText(x, y);
  }
  return 0;
}

export function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

export function listed(names: readonly string[]): string {
  return names.length > 5 ? `${names.slice(0, 5).join(", ")} and ${names.length - 5} more` : names.join(", ");
}
