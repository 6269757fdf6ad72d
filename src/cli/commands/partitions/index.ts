// `pgsteward partitions …`: the group of the commands that look after partitioned tables.
import { Command } from "commander";
import type { Run } from "../../command.ts";
import { convertCommand } from "./convert.ts";
import { ensureCommand } from "./ensure.ts";
import { statusCommand } from "./status.ts";

export function partitionsCommand(run: Run): Command {
  const command = new Command("partitions")
    .description("look after partitioned tables: what there is, ahead of time, out of time")
    .addHelpText(
      "before",
      `Examples:
  pgsteward partitions status
  pgsteward partitions ensure shop.events --every month --keep 12
  pgsteward partitions convert shop.events --range created_at --dry-run
`,
    );
  for (const make of [statusCommand, ensureCommand, convertCommand]) command.addCommand(make(run));
  return command;
}
