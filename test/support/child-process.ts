// Runs a small program in a process of its own, for what only a second process or a killed one can show.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { inject } from "vitest";

/**
 * A process that uses the embedded database for one command spends half of its time on compiling it well; the quick compiler
 * alone made `check` of one file take 3.2 s of CPU and not 5.8 s (Node 20.20).
 */
export const NODE_FLAGS = ["--liftoff-only"] as const;

export interface Child extends AsyncDisposable {
  readonly process: ChildProcess;
  /** The next line it writes to stdout, parsed as JSON. Rejects when it ends first. */
  readJson(): Promise<unknown>;
  send(line: string): void;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when it has ended. */
  ended(): Promise<{ readonly code: number | null; readonly stderr: string }>;
}

/** `script` is a module in JavaScript; `SRC/….ts` in it stands for a file of src/, as it is in this run. */
export async function startChild(script: string, env: Readonly<Record<string, string>> = {}): Promise<Child> {
  const folder = await mkdtemp(join(tmpdir(), "pgsteward-child-"));
  const file = join(folder, "child.mjs");
  const sources = join(inject("packageFolder"), "dist");
  await writeFile(
    file,
    script.replace(/"SRC\/([^"]+)\.ts"/g, (_, name: string) => JSON.stringify(join(sources, `${name}.js`))),
  );
  const child = spawn(process.execPath, [...NODE_FLAGS, file], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ending = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.once("close", (code) => resolve({ code, stderr }));
  });
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ending;
  };
  return {
    process: child,
    readJson: async () => {
      const line = await lines.next();
      if (line.done === true) throw new Error(`the child process ended: ${(await ending).stderr}`);
      return JSON.parse(line.value) as unknown;
    },
    send: (line) => child.stdin.write(`${line}\n`),
    kill,
    ended: () => ending,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) await kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
    },
  };
}
