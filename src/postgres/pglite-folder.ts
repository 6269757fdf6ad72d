// Looks at the folder of an embedded database before anything touches it: is it new, ours, in use, broken? A folder that is
// refused is left as it was found.
import { constants } from "node:fs";
import { access, mkdir, readFile, readdir, realpath, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FolderBrokenError, FolderInUseError } from "./errors.ts";
import { isLockFile, lockFolder, processState, type FolderLock } from "./folder-lock.ts";

/** Major version of the PostgreSQL inside PGlite. */
const PGLITE_MAJOR = "18";
/** In a folder whose first filling did not end: everything beside it was made by us and holds nobody's data. */
const FILLING_MARK = "pgsteward.filling";
const CONTROL_FILE_BYTES = 8192;

export interface TakenFolder {
  /** The real path, symbolic links resolved: two names of one folder are one lock. */
  readonly path: string;
  readonly isNew: boolean;
  readonly lock: FolderLock;
}

/**
 * Checks the folder, makes it when it is missing, and locks it.
 *
 * @throws FolderInUseError when somebody has it open
 * @throws FolderBrokenError when it is no folder, cannot be read or written, or holds something else
 */
export async function takeFolder(folder: string): Promise<TakenFolder> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = await realpath(folder);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    await inspect(path);
    const lock = await lockFolder(path);
    try {
      // Once more: it may have been filled between the first look and the lock.
      return { path, isNew: (await inspect(path)) === "new", lock };
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    throw toFolderError(folder, error);
  }
}

/** Fills a new folder; a filling that does not end is begun anew by the next open. */
export async function fillFolder<T>(path: string, fill: () => Promise<T>): Promise<T> {
  for (const name of await readdir(path))
    if (!isLockFile(name)) await rm(join(path, name), { recursive: true, force: true });
  await writeFile(join(path, FILLING_MARK), "The first filling of this folder has not ended.\n");
  const result = await fill();
  await rm(join(path, FILLING_MARK));
  return result;
}

async function inspect(path: string): Promise<"new" | "filled"> {
  const names = (await readdir(path)).filter((name) => !isLockFile(name));
  if (names.length === 0 || names.includes(FILLING_MARK)) return "new";
  if (!names.includes("PG_VERSION")) {
    throw new FolderBrokenError(`${path} is not empty and holds no embedded database`, {
      hint: "give an empty or a new folder",
    });
  }
  const major = (await readFile(join(path, "PG_VERSION"), "utf8")).trim();
  if (major !== PGLITE_MAJOR) {
    const whose = /^\d+(\.\d+)?$/.test(major) ? `belongs to PostgreSQL ${major}` : "has an unreadable PG_VERSION";
    throw new FolderBrokenError(`${path} ${whose}; the embedded database is PostgreSQL ${PGLITE_MAJOR}`, {
      hint: `open it with that version, dump it, and restore it into a new folder`,
    });
  }
  await refuseRunningServer(path, names);
  await refuseMissingParts(path);
  return "filled";
}

/** A real server on the same folder knows nothing of our lock; it has its own. */
async function refuseRunningServer(path: string, names: readonly string[]): Promise<void> {
  if (!names.includes("postmaster.pid")) return;
  const pid = Number((await readFile(join(path, "postmaster.pid"), "utf8")).split("\n", 1)[0]);
  // PGlite leaves its own file with a made-up negative or own-looking number; only a living other process counts.
  if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return;
  const state = processState(pid);
  if (state === undefined || state.hasEnded) return;
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
  if (name.trim().startsWith("postgres")) {
    throw new FolderInUseError(`a PostgreSQL server (process ${pid}) runs on ${path}`, {
      hint: "connect to that server instead",
    });
  }
}

async function refuseMissingParts(path: string): Promise<void> {
  const missing: string[] = [];
  for (const part of ["base", "global", "pg_wal", "pg_xact"]) {
    const isThere = await stat(join(path, part)).then(
      (stats) => stats.isDirectory(),
      () => false,
    );
    if (!isThere) missing.push(part);
  }
  const control = await readFile(join(path, "global", "pg_control")).catch(() => undefined);
  if (control === undefined) missing.push("global/pg_control");
  if (missing.length > 0) throw broken(path, `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing`);
  if (control?.length !== CONTROL_FILE_BYTES)
    throw broken(path, `global/pg_control has ${control?.length} bytes instead of ${CONTROL_FILE_BYTES}`);
}

/** The folder looks like a database and is not whole. */
export function broken(path: string, what: string, cause?: unknown): FolderBrokenError {
  return new FolderBrokenError(`the embedded database in ${path} cannot be opened: ${what}`, {
    cause,
    hint: "restore the folder from a backup; pgsteward changes nothing in it",
  });
}

function toFolderError(folder: string, error: unknown): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case "EEXIST":
    case "ENOTDIR":
      return new FolderBrokenError(`${folder} is not a folder`, { cause: error, hint: "give the path of a folder" });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new FolderBrokenError(`${folder} cannot be read and written by this user`, {
        cause: error,
        hint: "give this user the rights, or choose another folder",
      });
    case undefined:
    default:
      return error;
  }
}
