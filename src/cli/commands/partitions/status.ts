// `pgsteward partitions status`: the partitioned tables of a database, and what about them wants attention.
import { Command } from "commander";
import { readPartitions, type PartitionStatus } from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import { qualifiedName } from "../../arguments.ts";
import type { Run } from "../../command.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../../context.ts";
import { alignColumns, printable } from "../../output.ts";

export function statusCommand(run: Run): Command {
  const command = new Command("status")
    .description("show partitioned tables, their partitions and what wants attention")
    .argument("[table]", "one table; without a schema: public")
    .option("--exit-code", "exit 1 when something wants attention")
    .addHelpText(
      "before",
      `Examples:
  pgsteward partitions status
  pgsteward partitions status shop.events --exit-code
`,
    );
  return command.action((table: string | undefined, options: { exitCode?: boolean }) =>
    run(command, (context) => status(context, table, options.exitCode ?? false)),
  );
}

async function status(context: CommandContext, table: string | undefined, failOnProblems: boolean): Promise<number> {
  const name = table === undefined ? {} : qualifiedName(table);
  const settings = await readCommandSettings(context);
  requireValid(settings);
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  const found = await readPartitions(database, name);
  if (table !== undefined && found.length === 0) {
    throw new InvalidInputError(`there is no partitioned table ${table}`, {
      hint: "pgsteward partitions status lists all of them",
    });
  }
  context.output.result({ tables: found }, () =>
    found.length === 0
      ? "there are no partitioned tables"
      : found.map((family) => textOf(context, family)).join("\n\n"),
  );
  return failOnProblems && found.some(({ problems }) => problems.length > 0) ? 1 : 0;
}

function textOf({ output }: CommandContext, family: PartitionStatus): string {
  const until =
    family.coveredUntil === undefined
      ? ""
      : `, room until ${family.coveredUntil === "always" ? "ever" : family.coveredUntil.toISOString().slice(0, 16)}`;
  const lines = [
    output.paint(
      "bold",
      printable(`${family.schema}.${family.table}  ${family.strategy} (${family.key.join(", ")})${until}`),
    ),
    alignColumns(
      family.partitions.map(({ name, bound, rowEstimate, totalBytes }) => [
        printable(name),
        printable(bound),
        rowEstimate === undefined ? "" : `about ${rowEstimate} rows`,
        `${Math.ceil(totalBytes / 1_024)} KiB`,
      ]),
      "  ",
    ),
    ...family.problems.map((problem) => `  ${output.paint("yellow", "!")} ${printable(problem)}`),
  ];
  return lines.filter((line) => line !== "").join("\n");
}
