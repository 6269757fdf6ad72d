// What a command file needs to be one: the type of its action, and the package's version.
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { CommandContext } from "./context.ts";

/** What a command does; returns the exit code. */
export type Action = (context: CommandContext) => Promise<number>;
/** Hands an action to the program, which gives it its context. */
export type Run = (command: Command, action: Action) => Promise<void>;

/** The package's version. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
}
