// The commands by name. One that is named on the command line is loaded alone: a linter in an editor waits for this start.
import type { Command } from "commander";
import type { Run } from "../command.ts";

/** Makes a command, or a group of commands. */
export type MakeCommand = (run: Run) => Command;

const COMMANDS: Readonly<Record<string, () => Promise<MakeCommand>>> = {
  start: async () => (await import("./start.ts")).startCommand,
  check: async () => (await import("./check.ts")).checkCommand,
  lint: async () => (await import("./lint.ts")).lintCommand,
  describe: async () => (await import("./describe.ts")).describeCommand,
  diff: async () => (await import("./diff.ts")).diffCommand,
  migrate: async () => (await import("./migrate/index.ts")).migrateCommand,
  partitions: async () => (await import("./partitions/index.ts")).partitionsCommand,
  doctor: async () => (await import("./doctor.ts")).doctorCommand,
};

/** The command that the arguments name, or all of them when they name none (help, a wrong word). */
export function loadCommands(args: readonly string[]): Promise<readonly MakeCommand[]> {
  const [first = ""] = args;
  const named = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  return Promise.all(named === undefined ? Object.values(COMMANDS).map((load) => load()) : [named()]);
}
