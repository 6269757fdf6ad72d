// The sources as plain JavaScript, for the tests that start processes of their own: node alone starts in a third of the time
// that it takes with a loader for TypeScript. Compiled anew for each run, so that no test sees an older state.
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../..", import.meta.url));
const PREFIX = "pgsteward-compiled-";

export interface CompiledSources extends AsyncDisposable {
  /** Looks like the installed package, with the compiled files in `dist`: a module in it imports "pgsteward" by that name. */
  readonly folder: string;
  /** Compiles again, after an edit. */
  compile(): Promise<void>;
}

/** Compiles into a new temporary folder. Types are not checked, declarations not written: `npm run check` and the build do. */
export async function compileSources(): Promise<CompiledSources> {
  await removeAbandoned();
  const folder = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const compile = async (): Promise<void> => {
    const dist = join(folder, "dist");
    await rm(dist, { recursive: true, force: true });
    await runTsc([
      "-p",
      join(root, "tsconfig.build.json"),
      "--outDir",
      dist,
      "--declaration",
      "false",
      "--sourceMap",
      "false",
      "--inlineSources",
      "false",
    ]);
  };
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await copyFile(join(root, "package.json"), join(folder, "package.json"));
    for (const name of ["node_modules", "migrations"]) await symlink(join(root, name), join(folder, name));
    await compile();
  } catch (error) {
    await remove();
    throw error;
  }
  return { folder, compile, [Symbol.asyncDispose]: remove };
}

/** A run that was killed leaves its folder behind: its name says whose it is. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? /^(\d+)-/.exec(name.slice(PREFIX.length))?.[1] : undefined;
    if (pid !== undefined && !isThere(Number(pid))) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Runs the compiler without a look at types. */
export async function runTsc(args: readonly string[]): Promise<void> {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  await promisify(execFile)(process.execPath, [tsc, "--noCheck", ...args]).catch((error: { stdout?: string }) => {
    throw new Error(`the sources cannot be compiled:\n${error.stdout ?? ""}`, { cause: error });
  });
}
