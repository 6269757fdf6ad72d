// `pgsteward describe TABLE`: columns, keys, indexes, policies, triggers, who refers to it, who may do what.
import { Command } from "commander";
import {
  describeTable,
  readCatalog,
  type Column,
  type Constraint,
  type TableDescription,
} from "../../catalog/index.ts";
import { chooseDatabase, openExisting, readCommandSettings, requireValid, type CommandContext } from "../context.ts";
import { alignColumns, printable, type Paint } from "../output.ts";
import type { Run } from "../command.ts";

export function describeCommand(run: Run): Command {
  const command = new Command("describe")
    .description("show what there is to know about one table or view")
    .argument("<table>", 'table, schema.table or "Schema"."Table"')
    .addHelpText(
      "before",
      "Examples:\n  pgsteward describe todos\n  pgsteward describe tasks.todos --json\n  pgsteward describe 'public.\"Order Items\"'\n",
    );
  return command.action((table: string) => run(command, (context) => describe(context, table)));
}

async function describe(context: CommandContext, name: string): Promise<number> {
  const settings = await readCommandSettings(context);
  requireValid(settings);
  await using database = await openExisting(context, settings, chooseDatabase(context, settings));
  const description = describeTable(await readCatalog(database), name);
  context.output.result(description, () => describeText(description, context.output.paint));
  return 0;
}

/** What the command prints without `--json`. */
export function describeText(description: TableDescription, paint: Paint): string {
  const { table } = description;
  const isTable = "constraints" in table;
  const blocks: string[] = [];
  const add = (title: string, lines: readonly string[]): void => {
    if (lines.length > 0) blocks.push(`${paint("bold", title)}\n${lines.join("\n")}`);
  };
  blocks.push(headline(description, paint));
  add("Columns", [
    alignColumns(
      table.columns.map((column) => columnCells(column, paint)),
      "  ",
    ),
  ]);
  if (isTable) {
    add(
      "Constraints",
      partLines(
        table.constraints
          .filter(({ kind }) => kind !== "not null")
          .map((constraint) => [constraint.name, constraintText(constraint)]),
      ),
    );
  } else {
    add("Definition", [printable(table.definition)]);
  }
  add(
    "Indexes",
    partLines(
      table.indexes.map((index) => {
        const size = bytesText(index.sizeBytes);
        return [index.name, `${index.definition}${index.isValid ? "" : "  INVALID"}`, paint("dim", size)];
      }),
    ),
  );
  if (isTable) {
    add(
      `Row-level security: ${table.rowSecurity.enabled ? (table.rowSecurity.forced ? "enabled and forced" : "enabled, not forced") : "off"}`,
      table.policies.map((policy) => {
        const clauses = [
          policy.using === undefined ? "" : `USING (${policy.using})`,
          policy.withCheck === undefined ? "" : `WITH CHECK (${policy.withCheck})`,
        ];
        return printable(
          `  ${policy.name}  ${policy.isPermissive ? "permissive" : "restrictive"} for ${policy.command} to ${policy.roles.join(", ")}  ${clauses.join(" ")}`.trimEnd(),
        );
      }),
    );
  }
  add(
    "Triggers",
    table.triggers.map((trigger) => printable(`  ${trigger.definition}`)),
  );
  add(
    "Referenced by",
    partLines(
      description.referencedBy.map(({ schema, table: from, constraint }) => [
        `${schema}.${from}`,
        `${constraint.name} ${constraint.definition}`,
      ]),
    ),
  );
  add(
    "Partitions",
    partLines(
      description.partitions.map((partition) => [
        `${"  ".repeat(partition.level - 1)}${partition.schema}.${partition.name}`,
        partition.bound,
      ]),
    ),
  );
  add(
    "Inherited by",
    description.inheritedBy.map(({ schema, name }) => printable(`  ${schema}.${name}`)),
  );
  add(
    "Sequences",
    partLines(
      description.sequences.map((sequence) => [
        `${sequence.schema}.${sequence.name}`,
        `${sequence.type}, last value ${sequence.lastValue ?? (sequence.isLastValueReadable ? "none yet" : "not readable by this login")} of ${sequence.maximum}`,
      ]),
    ),
  );
  add(
    "Grants",
    partLines(
      description.grants.map((grant) => [
        grant.grantee,
        grant.objectKind === "column"
          ? `${grant.privileges.join(", ")} on ${grant.object}`
          : grant.privileges.join(", "),
      ]),
    ),
  );
  return blocks.join("\n\n");
}

function headline({ table }: TableDescription, paint: Paint): string {
  const facts = [table.kind, `owner ${table.owner}`];
  if ("constraints" in table) {
    if (table.persistence !== "permanent") facts.push(table.persistence);
    if (table.partitionKey !== undefined) facts.push(`partitioned by ${table.partitionKey}`);
    if (table.partitionOf !== undefined)
      facts.push(`partition of ${table.partitionOf.schema}.${table.partitionOf.name} ${table.partitionOf.bound}`);
    if (table.kind !== "partitioned") {
      facts.push(
        table.rowEstimate === undefined ? "never analyzed" : `about ${table.rowEstimate} rows`,
        bytesText(table.totalBytes),
      );
    }
  }
  const lines = [`${paint("bold", printable(`${table.schema}.${table.name}`))}  ${printable(facts.join(", "))}`];
  if (table.comment !== undefined) lines.push(printable(table.comment));
  return lines.join("\n");
}

function columnCells(column: Column, paint: Paint): string[] {
  const facts: string[] = [];
  if (!column.isNullable) facts.push("NOT NULL");
  if (column.generated !== undefined)
    facts.push(`GENERATED (${column.generated.expression}) ${column.generated.kind.toUpperCase()}`);
  else if (column.identity !== undefined) facts.push(`IDENTITY ${column.identity.toUpperCase()}`);
  else if (column.default !== undefined) facts.push(`DEFAULT ${column.default}`);
  if (column.collation !== undefined) facts.push(`COLLATE ${column.collation}`);
  return [
    printable(column.name),
    printable(column.type),
    printable(facts.join(" ")),
    paint("dim", printable(column.comment ?? "")),
  ];
}

function constraintText(constraint: Constraint): string {
  const marks = [constraint.isValidated ? "" : "NOT VALID", constraint.isEnforced ? "" : "NOT ENFORCED"].filter(
    (mark) => mark !== "" && !constraint.definition.includes(mark),
  );
  return [constraint.definition, ...marks].join("  ");
}

function partLines(rows: readonly (readonly string[])[]): string[] {
  return rows.length === 0
    ? []
    : [
        alignColumns(
          rows.map((row) => row.map(printableCell)),
          "  ",
        ),
      ];
}

/** Colour codes are ours and stay; everything else from the database is made visible. */
function printableCell(cell: string): string {
  return cell.startsWith("\u001b[2m") ? cell : printable(cell);
}

function bytesText(bytes: number | undefined): string {
  if (bytes === undefined) return "size unknown";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[power] ?? ""}`;
}
