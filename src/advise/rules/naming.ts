// Names of tables, columns, constraints and indexes against one of two conventions.
import { z } from "zod";
import type { Constraint, Index, Table } from "../../catalog/index.ts";
import { identifier, MAX_IDENTIFIER_BYTES } from "../../postgres/index.ts";
import { takeName, nameOf, relationNames, sqlNameOf, wholeTables } from "../objects.ts";
import { isPlural } from "../plural.ts";
import { defineRuleWithOptions, type NamingPreset, type RuleFinding } from "../rule.ts";

const SNAKE_CASE = /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}]*(?:_[\p{Ll}\p{Lo}\p{N}]+)*$/u;

export const naming = defineRuleWithOptions({
  id: "naming",
  title: "Name outside the convention",
  severity: "info",
  why: "Names that follow one pattern can be guessed, need no quotes, and tell in an error message which table and columns are meant.",
  examines: "tables, columns, constraints and indexes",
  options: z.strictObject({
    /** Table names, or their last words, to accept although they do not look plural. */
    uncountable: z.array(z.string().min(1)).default([]),
  }),
  check(catalog, settings, { uncountable }) {
    const convention = CONVENTIONS[settings.naming];
    const accepted = new Set(uncountable);
    let examined = 0;
    const findings: RuleFinding[] = [];
    // One set per schema: two proposals must not be the same either.
    const takenBySchema = new Map<string, Set<string>>();
    for (const table of wholeTables(catalog)) {
      const constraints = table.constraints.filter(
        (constraint) => constraint.isLocal && constraint.kind !== "not null",
      );
      const indexes = table.indexes.filter((index) => index.constraint === undefined && index.isValid);
      examined += 1 + table.columns.length + constraints.length + indexes.length;
      findings.push(...tableFindings(table, settings.naming, accepted), ...columnFindings(table));
      const takenRelations = takenBySchema.get(table.schema) ?? new Set(relationNames(catalog, table.schema));
      takenBySchema.set(table.schema, takenRelations);
      const takenConstraints = new Set(table.constraints.map((constraint) => constraint.name));
      for (const constraint of constraints) {
        const wanted = convention.constraint(table, constraint);
        if (fits(constraint.name, wanted)) continue;
        const taken =
          constraint.index !== undefined && constraint.kind !== "foreign key" ? takenRelations : takenConstraints;
        findings.push(
          constraintFinding(table, constraint, wanted, takeName(wanted.suggestion, taken), settings.naming),
        );
      }
      for (const index of indexes) {
        const wanted = convention.index(table, index);
        if (!fits(index.name, wanted))
          findings.push(
            indexFinding(table, index, wanted, takeName(wanted.suggestion, takenRelations), settings.naming),
          );
      }
    }
    return { examined, findings };
  },
});

/** What a name must begin or end with, and a name to propose. */
interface WantedName {
  readonly begins: string;
  readonly ends: string;
  readonly suggestion: string;
}

interface Convention {
  constraint(table: Table, constraint: Constraint): WantedName;
  index(table: Table, index: Index): WantedName;
}

const keysText = (index: Index): string => index.keys.map((key) => key.column ?? "expr").join("_");

const CONVENTIONS: Readonly<Record<NamingPreset, Convention>> = {
  pgsteward: {
    constraint(table, constraint) {
      const columns = constraint.columns.join("_");
      const begin = (prefix: string, rest: string): WantedName => ({
        begins: `${prefix}_${table.name}_`,
        ends: "",
        suggestion: `${prefix}_${table.name}_${rest}`,
      });
      switch (constraint.kind) {
        case "primary key":
          return { begins: `pk_${table.name}`, ends: "", suggestion: `pk_${table.name}` };
        case "unique":
          return begin("uq", columns);
        case "foreign key":
          return begin("fk", constraint.references?.table ?? columns);
        case "exclusion":
          return begin("ex", columns);
        case "check":
        case "not null":
          return begin("ck", columns === "" ? "row" : columns);
      }
    },
    index(table, index) {
      const prefix = index.isUnique ? "uq" : "idx";
      return { begins: `${prefix}_${table.name}_`, ends: "", suggestion: `${prefix}_${table.name}_${keysText(index)}` };
    },
  },
  postgresql: {
    constraint(table, constraint) {
      const columns = constraint.columns.join("_");
      const end = (suffix: string): WantedName => ({
        begins: table.name,
        ends: `_${suffix}`,
        suggestion: [table.name, columns, suffix].filter((part) => part !== "").join("_"),
      });
      switch (constraint.kind) {
        case "primary key":
          return { begins: table.name, ends: "_pkey", suggestion: `${table.name}_pkey` };
        case "unique":
          return end("key");
        case "foreign key":
          return end("fkey");
        case "exclusion":
          return end("excl");
        case "check":
        case "not null":
          return end("check");
      }
    },
    index(table, index) {
      return { begins: table.name, ends: "_idx", suggestion: `${table.name}_${keysText(index)}_idx` };
    },
  },
};

/** PostgreSQL numbers a second default name (`_key1`) and cuts long ones; both still fit. */
function fits(name: string, wanted: WantedName): boolean {
  if (Buffer.byteLength(wanted.suggestion, "utf8") > MAX_IDENTIFIER_BYTES) {
    return name.startsWith(Array.from(wanted.begins).slice(0, 20).join("")) && SNAKE_CASE.test(name);
  }
  const body = wanted.ends === "" ? name : name.replace(/\d+$/, "");
  return name.startsWith(wanted.begins) && body.endsWith(wanted.ends);
}

function pattern(wanted: WantedName): string {
  return wanted.ends === "" ? `${wanted.begins}…` : `${wanted.begins}…${wanted.ends}`;
}

function tableFindings(table: Table, preset: NamingPreset, accepted: ReadonlySet<string>): RuleFinding[] {
  const faults: string[] = [];
  if (!SNAKE_CASE.test(table.name)) faults.push("is not snake_case");
  const lastWord = table.name.split("_").at(-1) ?? table.name;
  if (preset === "pgsteward" && !accepted.has(table.name) && !accepted.has(lastWord) && !isPlural(lastWord))
    faults.push("is not plural");
  if (faults.length === 0) return [];
  return [
    {
      subject: { kind: "table", schema: table.schema, name: table.name },
      columns: [],
      message: `The table name ${nameOf(table)} ${faults.join(" and ")}.`,
      examined: `the name of ${nameOf(table)}`,
      fix: {
        description:
          "Rename the table together with the code that uses it, for example behind a view with the old name.",
        sql: undefined,
      },
    },
  ];
}

function columnFindings(table: Table): RuleFinding[] {
  return table.columns
    .filter((column) => !SNAKE_CASE.test(column.name))
    .map((column) => ({
      subject: { kind: "column", schema: table.schema, table: table.name, name: column.name },
      columns: [column.name],
      message: `The column name ${column.name} of ${nameOf(table)} is not snake_case.`,
      examined: `the names of the ${table.columns.length} columns of ${nameOf(table)}`,
      fix: { description: "Rename the column together with the code that uses it.", sql: undefined },
    }));
}

function constraintFinding(
  table: Table,
  constraint: Constraint,
  wanted: WantedName,
  name: string,
  preset: NamingPreset,
): RuleFinding {
  return {
    subject: { kind: "constraint", schema: table.schema, table: table.name, name: constraint.name },
    columns: constraint.columns,
    message: `The ${constraint.kind} ${constraint.name} of ${nameOf(table)} is not named ${pattern(wanted)}.`,
    examined: `the names of the constraints of ${nameOf(table)} against the preset ${preset}`,
    fix: {
      description:
        "Rename it. Only code that names the constraint (ON CONFLICT ON CONSTRAINT, error handling) notices.",
      sql: `ALTER TABLE ${sqlNameOf(table)} RENAME CONSTRAINT ${identifier(constraint.name)} TO ${identifier(name)};`,
    },
  };
}

function indexFinding(table: Table, index: Index, wanted: WantedName, name: string, preset: NamingPreset): RuleFinding {
  return {
    subject: { kind: "index", schema: table.schema, table: table.name, name: index.name },
    columns: index.keys.flatMap((key) => key.column ?? []),
    message: `The index ${index.name} of ${nameOf(table)} is not named ${pattern(wanted)}.`,
    examined: `the names of the indexes of ${nameOf(table)} against the preset ${preset}`,
    fix: {
      description: "Rename it; no query names an index.",
      sql: `ALTER INDEX ${identifier(table.schema, index.name)} RENAME TO ${identifier(name)};`,
    },
  };
}
