// `pgsteward migrate …`: the group of the commands that make, prove and run migrations.
import { Command } from "commander";
import type { Run } from "../../command.ts";
import type { MakeCommand } from "../index.ts";
import { backfillCommand } from "./backfill.ts";
import { driftCommand } from "./drift.ts";
import { downCommand, redoCommand } from "./down.ts";
import { dropCommand } from "./drop.ts";
import { expandCommand } from "./expand.ts";
import { generateCommand } from "./generate.ts";
import { baselineCommand, repairCommand } from "./history.ts";
import { planCommand } from "./plan.ts";
import { rolesCommand } from "./roles.ts";
import { statusCommand } from "./status.ts";
import { upCommand } from "./up.ts";
import { verifyCommand } from "./verify.ts";

/** In the order in which they are used. */
const COMMANDS: readonly MakeCommand[] = [
  generateCommand,
  planCommand,
  expandCommand,
  dropCommand,
  rolesCommand,
  verifyCommand,
  driftCommand,
  upCommand,
  downCommand,
  redoCommand,
  statusCommand,
  baselineCommand,
  repairCommand,
  backfillCommand,
];

export function migrateCommand(run: Run): Command {
  const command = new Command("migrate")
    .description("make, prove and run migrations: SQL files with up and down")
    .addHelpText(
      "before",
      `Examples:
  pgsteward migrate generate add_owner_to_agents --models src/db/schema.ts
  pgsteward migrate verify
  pgsteward migrate up --dry-run
  pgsteward migrate status
`,
    );
  for (const make of COMMANDS) command.addCommand(make(run));
  return command;
}
