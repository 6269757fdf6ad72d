// Columns of types that PostgreSQL keeps for compatibility and its manual advises against.
import { z } from "zod";
import { nameOf, wholeTables } from "../objects.ts";
import { defineRuleWithOptions } from "../rule.ts";

const KINDS = ["money", "char", "timetz"] as const;

const TYPES: Readonly<
  Record<(typeof KINDS)[number], { readonly pattern: RegExp; readonly why: string; readonly instead: string }>
> = {
  money: {
    pattern: /^money(\[\])*$/,
    why: "money has no currency and reads and writes by the server's lc_monetary: the same value is another amount under another setting.",
    instead: "numeric with the scale you need, and the currency in a column of its own",
  },
  char: {
    pattern: /^character(\(\d+\))?(\[\])*$/,
    why: "char(n) is filled with blanks to its length, which some comparisons ignore and others do not, and it saves no space.",
    instead: "text, with a CHECK on the length where it matters",
  },
  timetz: {
    pattern: /^time(\(\d\))? with time zone(\[\])*$/,
    why: "A time of day with an offset but without a date cannot follow the clock changes of any place.",
    instead: "timestamptz for a moment, time and the name of a time zone for an appointment",
  },
};

export const unsuitableColumnType = defineRuleWithOptions({
  id: "unsuitable-column-type",
  title: "Unsuitable column type",
  severity: "warning",
  why: "The type behaves in ways that surprise, and PostgreSQL's own manual advises against it.",
  examines: "columns",
  options: z.strictObject({
    /** Which of `money`, `char`, `timetz` to look for. */
    types: z.array(z.enum(KINDS)).default([...KINDS]),
  }),
  check(catalog, _settings, { types }) {
    const columns = wholeTables(catalog).flatMap((table) => table.columns.map((column) => ({ table, column })));
    return {
      examined: columns.length,
      findings: columns.flatMap(({ table, column }) => {
        const kind = types.find((type) => TYPES[type].pattern.test(column.baseType));
        if (kind === undefined) return [];
        return [
          {
            why: TYPES[kind].why,
            subject: { kind: "column" as const, schema: table.schema, table: table.name, name: column.name },
            columns: [column.name],
            message: `${nameOf(table)}.${column.name} is ${column.type}.`,
            examined: `the type of ${nameOf(table)}.${column.name}`,
            fix: { description: `Use ${TYPES[kind].instead}.`, sql: undefined },
          },
        ];
      }),
    };
  },
});
