// Runs a small TypeScript program in a process of its own, for what only a second process or a killed one can show.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Child extends AsyncDisposable {
  readonly process: ChildProcess;
  /** The next line it writes to stdout, parsed as JSON. Rejects when it ends first. */
  readJson(): Promise<unknown>;
  send(line: string): void;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when it has ended. */
  ended(): Promise<{ readonly code: number | null; readonly stderr: string }>;
}

/** `script` is a module; `SRC` in it stands for the folder src/. */
export async function startChild(script: string, env: Readonly<Record<string, string>> = {}): Promise<Child> {
  const folder = await mkdtemp(join(tmpdir(), "pgsteward-child-"));
  const file = join(folder, "child.mts");
  await writeFile(file, script.replaceAll("SRC", join(root, "src")));
  const child = spawn(process.execPath, ["--import", "tsx", file], {
    cwd: root,
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
