// Runs the command line of this run's sources as a child process, as a user would: real arguments, pipes, exit codes, signals.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, inject, vi } from "vitest";
import { NODE_FLAGS } from "../support/child-process.ts";

// A test here runs up to eight processes, most of which start an embedded database (3-7 s CPU each), on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

export const MAIN = join(inject("packageFolder"), "dist", "cli", "main.js");

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What the command reads from stdin. */
  readonly stdin?: string | Buffer;
}

const folders: string[] = [];
const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A temporary folder with these files, gone after the test. */
export function folderWith(files: Readonly<Record<string, string | Buffer>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-cli-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

/** A running command: its output so far, and its end. */
export interface RunningCli {
  readonly child: ChildProcess;
  readonly output: () => { readonly stdout: string; readonly stderr: string };
  readonly ended: Promise<CliResult>;
  /** Resolves when stdout matches; rejects when the command ends before. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>;
}

export function startCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  // Variables of the developer's shell must not decide a test.
  const inherited = Object.entries(process.env).filter(
    ([name]) =>
      !/^(PGSTEWARD_|DATABASE_URL$|PG[A-Z]+$|NO_COLOR$|FORCE_COLOR$|CLICOLOR|DEBUG$|NODE_OPTIONS$|VITEST)/.test(name),
  );
  const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, ...args], {
    cwd: options.cwd ?? folderWith(),
    env: { ...Object.fromEntries(inherited), ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(options.stdin ?? "");
  children.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = new Promise<CliResult>((resolve) => {
    child.on("close", (code) => {
      children.delete(child);
      resolve({ code, stdout, stderr });
    });
  });
  return {
    child,
    output: () => ({ stdout, stderr }),
    ended,
    waitFor: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = pattern.exec(stdout);
          if (found !== null) resolve(found);
        };
        child.stdout.on("data", look);
        look();
        void ended.then((result) => reject(new Error(`ended with ${result.code} before ${pattern}: ${result.stderr}`)));
      }),
  };
}

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).ended;
}
