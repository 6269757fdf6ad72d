// What can be dropped in two releases, and the statements that the drops of columns and of tables share.
import type { Constraint, ObjectReference } from "../../catalog/index.ts";
import { dollarQuoted, identifier, InvalidInputError } from "../../postgres/index.ts";
import { alone, inTransaction, type ExpandGroup, type ExpandPhase } from "../expand/change.ts";
import { commentOn } from "../expand/comment-on.ts";
import { KEPT_SCHEMA } from "./kept-names.ts";

export type DropChange =
  | {
      readonly kind: "column";
      readonly schema: string;
      readonly table: string;
      readonly column: string;
      /** For rows that have no value when NOT NULL comes back, as SQL. Without it the way back refuses while there are any. */
      readonly default?: string | undefined;
    }
  | { readonly kind: "table"; readonly schema: string; readonly table: string };

export interface DropPlan {
  readonly change: DropChange;
  /** `release` where something has to be made harmless first, and `drop`; or `forget`. */
  readonly phases: readonly ExpandPhase[];
  /** What a person has to know or to look after. */
  readonly notices: readonly string[];
}

/** What depends on the thing and is not made again by the way back, as said to a person. */
export function refuseDependants(what: string, dependants: readonly ObjectReference[]): void {
  const names = new Set(
    dependants.map(({ kind, schema, name, part }) =>
      // A table in a publication is said by the publication.
      kind === "publication table"
        ? `publication ${schema ?? name}`
        : `${kind} ${[schema, name, part].filter((each) => each !== undefined && each !== "").join(".")}`,
    ),
  );
  if (names.size === 0) return;
  throw new InvalidInputError(`${[...names].sort().join(", ")} depend${names.size === 1 ? "s" : ""} on ${what}`, {
    hint: "drop or change what depends on it in a migration before",
  });
}

export function createKeptSchema(): string {
  return `CREATE SCHEMA IF NOT EXISTS ${identifier(KEPT_SCHEMA)}`;
}

/** When nothing else is kept. */
export function dropKeptSchema(): string {
  return `DO ${dollarQuoted(`
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = '${KEPT_SCHEMA}'::pg_catalog.regnamespace) THEN
    DROP SCHEMA ${identifier(KEPT_SCHEMA)};
  END IF;
END
`)}`;
}

/** A foreign key that comes back: held from then on, and checked without stopping writers. */
export function addForeignKey(relation: string, key: Constraint, canWait: boolean): readonly ExpandGroup[] {
  const name = identifier(key.name);
  const definition = key.definition.replace(/ NOT VALID$/, "");
  const waits = canWait && key.isEnforced;
  return [
    ...inTransaction(
      `ALTER TABLE ${relation} ADD CONSTRAINT ${name} ${definition}${waits ? " NOT VALID" : ""}`,
      ...commentOn(`CONSTRAINT ${name} ON ${relation}`, key.comment),
    ),
    ...(waits && key.isValidated ? alone(`ALTER TABLE ${relation} VALIDATE CONSTRAINT ${name}`) : []),
  ];
}
