// One owner per data folder, kept by small files in it that name the owner: a living owner is respected, a dead one replaced.
// Needed because two PGlite instances on one folder both open, and committed rows are lost.
//
// The files are numbered (pgsteward.lock.1, .2, …) and the highest number that ever was stays: its owner holds the folder until
// the file says "released" or the owner is dead; then the next number may be taken. So the maximum only grows, and of two
// processes that see the same dead owner exactly one gets the next number. Deleting a stale lock file would not do: the slower
// of two deletes the lock that the faster one has just made.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { link, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FolderInUseError } from "./errors.ts";

export interface FolderLock {
  /** Gives the folder free. Idempotent. */
  release(): void;
}

interface Owner {
  readonly state: "held" | "released";
  readonly pid: number;
  /** As the operating system tells it: a process id is used again after a while. `null` where it cannot be known. */
  readonly processStart: string | null;
  readonly host: string;
  readonly since: string;
}

const NAME = /^pgsteward\.lock\.(\d+)$/;
const DRAFT_PREFIX = "pgsteward.lock-draft.";
/** A lock file without readable text is being written at this moment, on a file system without hard links. */
const UNREADABLE_ATTEMPTS = 20;

const heldHere = new Map<string, Owner>();

/** Whether a file in a data folder belongs to the lock. */
export function isLockFile(name: string): boolean {
  return NAME.test(name) || name.startsWith(DRAFT_PREFIX);
}

/**
 * Takes the lock of an existing folder. It ends with `release()` or with this process.
 *
 * @throws FolderInUseError naming the owner's process id and since when; also when this process holds it already
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const owner: Owner = {
    state: "held",
    pid: process.pid,
    processStart: processState(process.pid)?.start ?? null,
    host: hostname(),
    since: new Date().toISOString(),
  };
  for (let unreadable = 0; ;) {
    const highest = Math.max(0, ...(await lockNumbers(folder)));
    const other = highest === 0 ? undefined : await readOwner(join(folder, `pgsteward.lock.${highest}`));
    if (other === "gone") continue; // a higher number was taken meanwhile
    if (other === "unreadable" && ++unreadable < UNREADABLE_ATTEMPTS) {
      await sleep(25);
      continue;
    }
    if (typeof other === "object") refuseWhileHeld(folder, join(folder, `pgsteward.lock.${highest}`), other);
    const mine = join(folder, `pgsteward.lock.${highest + 1}`);
    if (!(await createWhole(folder, mine, owner))) continue; // somebody was faster
    const numbers = await lockNumbers(folder);
    if (Math.max(...numbers) > highest + 1) {
      // We were so slow that our number had been taken, passed on and cleaned away before we made it again.
      await rm(mine, { force: true });
      continue;
    }
    for (const number of numbers)
      if (number <= highest) await rm(join(folder, `pgsteward.lock.${number}`), { force: true });
    return held(mine, owner);
  }
}

function held(path: string, owner: Owner): FolderLock {
  if (heldHere.size === 0) process.on("exit", releaseAll);
  heldHere.set(path, owner);
  return { release: () => release(path) };
}

function release(path: string): void {
  const owner = heldHere.get(path);
  if (owner === undefined) return;
  heldHere.delete(path);
  if (heldHere.size === 0) process.removeListener("exit", releaseAll);
  const draft = `${path.slice(0, path.lastIndexOf("pgsteward.lock."))}${DRAFT_PREFIX}${randomBytes(8).toString("hex")}`;
  try {
    writeFileSync(draft, `${JSON.stringify({ ...owner, state: "released" } satisfies Owner)}\n`);
    renameSync(draft, path);
  } catch (error) {
    // The folder was removed while it was open: then there is nothing left to free.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function releaseAll(): void {
  for (const path of heldHere.keys()) release(path);
}

function refuseWhileHeld(folder: string, path: string, other: Owner): void {
  if (other.state === "released") return;
  if (other.host !== hostname()) {
    throw new FolderInUseError(
      `${folder} is held by process ${other.pid} on the host ${other.host} since ${other.since}`,
      {
        hint: `whether it lives cannot be seen from here; if that host is gone, remove ${path}`,
      },
    );
  }
  if (!isAlive(other)) return;
  const who = other.pid === process.pid ? `this process (${other.pid})` : `process ${other.pid}`;
  throw new FolderInUseError(`${folder} is in use by ${who} since ${other.since}`, {
    hint: "an embedded database has one user at a time: stop that process, or use a server for both",
  });
}

async function lockNumbers(folder: string): Promise<number[]> {
  return (await readdir(folder)).flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

async function readOwner(path: string): Promise<Owner | "gone" | "unreadable"> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "gone";
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    return isOwner(value) ? value : "unreadable";
  } catch {
    return "unreadable";
  }
}

function isOwner(value: unknown): value is Owner {
  if (typeof value !== "object" || value === null) return false;
  const { state, pid, host } = value as Partial<Owner>;
  return (state === "held" || state === "released") && typeof pid === "number" && typeof host === "string";
}

/** Makes the file with its text in one step, so that nobody sees half of it; false when it exists. */
async function createWhole(folder: string, path: string, owner: Owner): Promise<boolean> {
  const text = `${JSON.stringify(owner)}\n`;
  const draft = join(folder, `${DRAFT_PREFIX}${randomBytes(8).toString("hex")}`);
  await writeFile(draft, text, { flag: "wx" });
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
    return await createInTwoSteps(path, text); // no hard links here, e.g. exFAT
  } finally {
    await rm(draft, { force: true });
  }
}

async function createInTwoSteps(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = processState(owner.pid);
  if (now === undefined) return true;
  if (now.hasEnded) return false;
  return owner.processStart === null || owner.processStart === now.start;
}

/** Undefined where the operating system does not tell, or the process is not there. */
export function processState(pid: number): { readonly start: string; readonly hasEnded: boolean } | undefined {
  try {
    if (process.platform === "linux") {
      // The name in parentheses can hold anything, so fields are counted from its end: state is the first, starttime the 20th.
      const text = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
      // Z: killed, but its parent has not asked for its end yet.
      return { start: `${bootId}/${fields[19]}`, hasEnded: fields[0] === "Z" || fields[0] === "X" };
    }
    if (process.platform === "win32") return undefined;
    const [state = "", ...start] = execFileSync("ps", ["-o", "state=,lstart=", "-p", String(pid)], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
      stdio: ["ignore", "pipe", "ignore"],
    })
      .trim()
      .split(/\s+/);
    return { start: start.join(" "), hasEnded: state.startsWith("Z") };
  } catch {
    return undefined;
  }
}
