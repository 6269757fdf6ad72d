// The guard's hooks for child processes. They throw where they are called, before a process exists.
import { basename } from "node:path";
import type * as childProcess from "node:child_process";
import { refuseExternalCall } from "../postgres/index.ts";
import { field, wrapMethod } from "./wrap-method.ts";

/** `spawn`, `exec`, `execFile`, `fork` (and `cluster.fork`) all end in `ChildProcess.spawn`; the three waiting forms do not. */
export function watchProcesses(module: typeof childProcess): void {
  wrapMethod(module.ChildProcess.prototype, "spawn", (original) => {
    return function spawn(options, ...rest) {
      refuseProcess(field(options, "file"));
      return original.call(this, options, ...rest);
    };
  });
  for (const name of ["spawnSync", "execFileSync"]) {
    wrapMethod(module, name, (original) => {
      return function spawnAndWait(file, ...rest) {
        const isInShell = rest.some((argument) => Boolean(field(argument, "shell")));
        refuseProcess(isInShell ? undefined : file);
        return original.call(this, file, ...rest);
      };
    });
  }
  wrapMethod(module, "execSync", (original) => {
    return function execSync(...args) {
      refuseProcess(undefined);
      return original.apply(this, args);
    };
  });
}

// Only the program is named: arguments, and the command line of a shell, may hold secrets.
function refuseProcess(file: unknown): void {
  const error = refuseExternalCall({
    what: `child process ${typeof file === "string" ? basename(file) : "(a shell)"}`,
  });
  if (error !== undefined) throw error;
}
