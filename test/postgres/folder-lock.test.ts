import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FolderInUseError } from "../../src/postgres/errors.ts";
import { lockFolder, processState } from "../../src/postgres/folder-lock.ts";
import { startChild, type Child } from "../support/child-process.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pgsteward-test-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const CHILD = (path: string): string => `
import { lockFolder } from "SRC/postgres/folder-lock.ts";
import { createInterface } from "node:readline";
console.log(JSON.stringify("ready"));
let lock;
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "lock") {
    try {
      lock = await lockFolder(${JSON.stringify(path)});
      console.log(JSON.stringify({ won: process.pid }));
    } catch (error) {
      console.log(JSON.stringify({ code: error.code, message: error.message }));
    }
  } else if (line === "release") {
    lock.release();
    console.log(JSON.stringify("released"));
  } else process.exit(0);
}`;

async function startChildren(count: number): Promise<Child[]> {
  const children = await Promise.all(Array.from({ length: count }, () => startChild(CHILD(folder))));
  for (const child of children) expect(await child.readJson()).toBe("ready");
  return children;
}

async function ask(child: Child, line: string): Promise<unknown> {
  child.send(line);
  return child.readJson();
}

test("a second owner in the same process is refused until the first lets go", async () => {
  const lock = await lockFolder(folder);
  await expect(lockFolder(folder)).rejects.toThrow(`this process (${process.pid})`);
  lock.release();
  lock.release();
  (await lockFolder(folder)).release();
});

test("an owner in another process is named with its process id and since when", async () => {
  const [child] = await startChildren(1);
  await using owner = child as Child;
  await ask(owner, "lock");
  const failure = lockFolder(folder);
  await expect(failure).rejects.toThrow(FolderInUseError);
  await expect(failure).rejects.toThrow(new RegExp(`process ${owner.process.pid} since \\d{4}-`));
  expect(await ask(owner, "release")).toBe("released");
  (await lockFolder(folder)).release();
});

test.each(["exits", "is killed"])("the folder is free when its owner %s", async (end) => {
  const [child] = await startChildren(1);
  await using owner = child as Child;
  await ask(owner, "lock");
  if (end === "exits") {
    owner.send("end");
    await owner.ended();
  } else await owner.kill("SIGKILL");
  (await lockFolder(folder)).release();
});

test("of several processes that find the same dead owner exactly one wins, again and again", async () => {
  const children = await startChildren(4);
  try {
    for (let round = 1; round <= 15; round++) {
      await writeOwner({ pid: 4_194_303, processStart: "long ago" });
      const answers = await Promise.all(children.map((child) => ask(child, "lock")));
      const winners = children.filter(
        (_, index) => typeof answers[index] === "object" && answers[index] !== null && "won" in answers[index],
      );
      expect(winners).toHaveLength(1);
      expect(answers.filter((answer) => (answer as { code?: string }).code === "FOLDER_IN_USE")).toHaveLength(3);
      for (const winner of winners) await ask(winner, "release");
    }
  } finally {
    for (const child of children) await child[Symbol.asyncDispose]();
  }
});

test("contenders in one process that lock and release in turn never hold the folder at the same time", async () => {
  let holders = 0;
  let turns = 0;
  const contend = async (): Promise<void> => {
    for (let tries = 0; tries < 60; tries++) {
      const lock = await lockFolder(folder).catch((error: unknown) => {
        if (error instanceof FolderInUseError) return undefined;
        throw error;
      });
      if (lock === undefined) {
        await new Promise((done) => setImmediate(done));
        continue;
      }
      expect(++holders).toBe(1);
      turns++;
      await new Promise((done) => setImmediate(done));
      holders--;
      lock.release();
    }
  };
  await Promise.all([contend(), contend(), contend(), contend()]);
  expect(turns).toBeGreaterThan(1);
});

test("a process id that was given to another process does not keep a dead owner alive", async () => {
  await writeOwner({ pid: process.pid, processStart: "another life" });
  (await lockFolder(folder)).release();
  await writeOwner({ pid: process.pid, processStart: processState(process.pid)?.start ?? null });
  await expect(lockFolder(folder)).rejects.toThrow(FolderInUseError);
});

test("an owner on another host is refused, and the hint names the file to remove", async () => {
  await writeOwner({ pid: 1, processStart: "x", host: "elsewhere" });
  await expect(lockFolder(folder)).rejects.toMatchObject({
    code: "FOLDER_IN_USE",
    message: expect.stringContaining("elsewhere") as string,
    hint: expect.stringContaining(join(folder, "pgsteward.lock.")) as string,
  });
});

test("a lock file that says nothing readable is taken over", async () => {
  await writeFile(join(folder, "pgsteward.lock.4"), "");
  (await lockFolder(folder)).release();
  expect((await readdir(folder)).toSorted()).toEqual(["pgsteward.lock.5"]);
  expect(JSON.parse(await readFile(join(folder, "pgsteward.lock.5"), "utf8"))).toMatchObject({
    state: "released",
    pid: process.pid,
  });
});

/** Puts an owner on top of what is there. */
async function writeOwner(owner: { pid: number; processStart: string | null; host?: string }): Promise<void> {
  const numbers = (await readdir(folder)).map((name) => Number(name.split(".").at(-1)));
  const text = JSON.stringify({ state: "held", host: hostname(), since: "2026-01-01T00:00:00.000Z", ...owner });
  await writeFile(join(folder, `pgsteward.lock.${Math.max(0, ...numbers) + 1}`), text);
}
