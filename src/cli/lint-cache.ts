// Reports of the linter by the hash of everything they depend on, in the user's cache folder. A cache that cannot be read or written
// is as if it were not there.
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { LintFile, LintOptions, LintReport } from "../migrate/index.ts";
import { packageVersion } from "./command.ts";

/** Grows when the report gets other fields. */
const REPORT_SHAPE = 2;
/** Reports that are kept; the oldest go first. */
const KEPT_REPORTS = 200;

type Environment = Readonly<Record<string, string | undefined>>;

export function lintCacheFolder(env: Environment): string {
  const given = env["XDG_CACHE_HOME"] ?? "";
  const local = env["LOCALAPPDATA"] ?? "";
  const base =
    given !== ""
      ? given
      : process.platform === "win32" && local !== ""
        ? local
        : process.platform === "darwin"
          ? join(homedir(), "Library", "Caches")
          : join(homedir(), ".cache");
  return join(base, "pgsteward", "lint");
}

/** Everything a report depends on. */
export function lintCacheKey(files: readonly LintFile[], options: LintOptions): string {
  return createHash("sha256")
    .update(JSON.stringify([packageVersion(), REPORT_SHAPE, files, options]))
    .digest("hex");
}

export function readCachedReport(folder: string, key: string): LintReport | undefined {
  try {
    const { report, hash } = JSON.parse(readFileSync(join(folder, `${key}.json`), "utf8")) as {
      readonly report: LintReport;
      readonly hash: string;
    };
    return hash === hashOf(report) ? report : undefined;
  } catch {
    return undefined; // missing, cut short, not JSON
  }
}

export function writeCachedReport(folder: string, key: string, report: LintReport): void {
  const temporary = join(folder, `${key}.${randomBytes(4).toString("hex")}.tmp`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, JSON.stringify({ hash: hashOf(report), report }), { mode: 0o600 });
    renameSync(temporary, join(folder, `${key}.json`));
    dropOldest(folder);
  } catch {
    removeQuietly(temporary); // read-only home, full disk: the next run computes again
  }
}

function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // `force` covers a missing file only; where a folder of the path is a file (ENOTDIR) there is nothing to remove either.
  }
}

function hashOf(report: LintReport): string {
  return createHash("sha256").update(JSON.stringify(report)).digest("hex");
}

function dropOldest(folder: string): void {
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  if (names.length <= KEPT_REPORTS) return;
  const byAge = names
    .map((name) => ({ name, time: statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .toSorted((a, b) => b.time - a.time);
  for (const { name } of byAge.slice(KEPT_REPORTS)) rmSync(join(folder, name), { force: true });
}
