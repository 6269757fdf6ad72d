// Moves what gives a column its value when none is written (default, serial sequence, identity) to another column.
import { literal, type Column, type Sequence } from "../../catalog/index.ts";
import { dollarQuoted, identifier, InvalidInputError } from "../../postgres/index.ts";
import type { ColumnParts } from "./parts.ts";

const INTEGERS: Readonly<Record<string, bigint>> = {
  smallint: 2n ** 15n - 1n,
  integer: 2n ** 31n - 1n,
  bigint: 2n ** 63n - 1n,
};

/** Type names as people write them, as `format_type` prints them. */
const SPELLINGS: Readonly<Record<string, string>> = {
  int: "integer",
  int4: "integer",
  int2: "smallint",
  int8: "bigint",
  "pg_catalog.int8": "bigint",
  "pg_catalog.int4": "integer",
  "pg_catalog.int2": "smallint",
};

export function plainType(type: string): string {
  const folded = type.trim().toLowerCase().replaceAll(/\s+/g, " ");
  return SPELLINGS[folded] ?? folded;
}

export interface ValueMove {
  readonly from: string;
  readonly to: string;
  /** Type of `to`. */
  readonly type: string;
  /** Default of `to`, as SQL. */
  readonly expression: string | undefined;
}

/** @throws InvalidInputError when the new type cannot have an identity */
export function moveValueSource(parts: ColumnParts, move: ValueMove): readonly string[] {
  const { table, column, sequence } = parts;
  const start = `ALTER TABLE ${identifier(table.schema, table.name)} ALTER COLUMN`;
  if (column.identity !== undefined && sequence !== undefined) return [moveIdentity(parts, sequence, move)];
  if (column.default === undefined) return [];
  const isSerial = sequence !== undefined;
  const type = plainType(move.type);
  const retype = isSerial && type in INTEGERS ? [`ALTER SEQUENCE ${nameOf(sequence)} AS ${type}`] : [];
  return [
    `${start} ${identifier(move.from)} DROP DEFAULT`,
    ...(move.expression === undefined ? [] : [`${start} ${identifier(move.to)} SET DEFAULT ${move.expression}`]),
    ...(isSerial
      ? [`ALTER SEQUENCE ${nameOf(sequence)} OWNED BY ${identifier(table.schema, table.name, move.to)}`, ...retype]
      : []),
  ];
}

/** An identity cannot be handed over: it is dropped with its sequence, and made anew where the old one stood. */
function moveIdentity({ table, column }: ColumnParts, sequence: Sequence, move: ValueMove): string {
  const type = plainType(move.type);
  if (!(type in INTEGERS)) {
    throw new InvalidInputError(
      `${table.schema}.${table.name}.${column.name} is an identity column, and ${move.type} cannot be one`,
      {
        hint: "drop the identity first (ALTER COLUMN … DROP IDENTITY) and give the new column a default",
      },
    );
  }
  const relation = identifier(table.schema, table.name);
  return remakeIdentity({
    sequence,
    identity: column.identity,
    release: [`ALTER TABLE ${relation} ALTER COLUMN ${identifier(move.from)} DROP IDENTITY`],
    column: `ALTER TABLE ${relation} ALTER COLUMN ${identifier(move.to)}`,
  });
}

export interface IdentityPlace {
  readonly sequence: Sequence;
  readonly identity: Column["identity"];
  /** What lets go of the sequence's name, after its place was read. */
  readonly release: readonly string[];
  /** `ALTER TABLE … ALTER COLUMN …` of the one that gets it. */
  readonly column: string;
}

/** One statement, which goes on counting where the old sequence stood. Whatever may count has to be locked before. */
export function remakeIdentity({ sequence, identity, release, column }: IdentityPlace): string {
  const name = nameOf(sequence);
  const kind = identity === "always" ? "ALWAYS" : "BY DEFAULT";
  return `DO ${dollarQuoted(`
DECLARE
  place bigint;
  used boolean;
BEGIN
  SELECT s.last_value, s.is_called INTO place, used FROM ${name} AS s;
${release.map((statement) => `  ${statement};\n`).join("")}  ${column} ADD GENERATED ${kind} AS IDENTITY (SEQUENCE NAME ${name} ${identityOptions(sequence)});
  PERFORM pg_catalog.setval(${literal(name)}, place, used);
END
`)}`;
}

/** Bounds that are those of the sequence's type follow the new type. */
export function identityOptions(sequence: Sequence): string {
  const largest = INTEGERS[sequence.type] ?? 0n;
  const isAscending = BigInt(sequence.increment) > 0n;
  const usualMaximum = isAscending ? largest : -1n;
  const usualMinimum = isAscending ? 1n : -largest - 1n;
  return [
    `START WITH ${sequence.start}`,
    `INCREMENT BY ${sequence.increment}`,
    BigInt(sequence.minimum) === usualMinimum ? "" : `MINVALUE ${sequence.minimum}`,
    BigInt(sequence.maximum) === usualMaximum ? "" : `MAXVALUE ${sequence.maximum}`,
    `CACHE ${sequence.cache}`,
    sequence.cycles ? "CYCLE" : "",
  ]
    .filter((part) => part !== "")
    .join(" ");
}

function nameOf({ schema, name }: Sequence): string {
  return identifier(schema, name);
}
