// The two releases of a table's drop. It is moved, not copied: everything on it goes along, and comes back with it.
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { inTransaction, type ExpandPhase } from "../expand/change.ts";
import { addForeignKey, createKeptSchema, dropKeptSchema, refuseDependants, type DropChange } from "./drop-parts.ts";
import { KEPT_SCHEMA } from "./kept-names.ts";
import { fileWords } from "../expand/names.ts";
import { findTable, type IncomingKey } from "../expand/parts.ts";

/** From here on a foreign key of a partitioned table can wait to be validated. */
const PARTITIONED_NOT_VALID = 180_000;

export function tableDropPhases(
  catalog: Catalog,
  change: Extract<DropChange, { readonly kind: "table" }>,
): { readonly phases: readonly ExpandPhase[]; readonly notices: readonly string[] } {
  const table = findTable(catalog, change.schema, change.table);
  const family = familyOf(catalog, table);
  refuseUsers(catalog, table, family);
  const keys = keysInTheWay(catalog, table, family);
  const canWait = (relation: Table): boolean =>
    relation.kind !== "partitioned" || catalog.serverVersion >= PARTITIONED_NOT_VALID;
  const relations = family.map(({ schema, name }) => ({
    from: identifier(schema, name),
    to: identifier(KEPT_SCHEMA, name),
    schema,
  }));
  const statistics = catalog.statistics.filter((item) =>
    family.some(({ schema, name }) => schema === item.table.schema && name === item.table.name),
  );
  const why = [
    `${table.name} goes. Its rows, indexes, constraints, rights and policies are kept: it moves to ${KEPT_SCHEMA}, where no program finds it.`,
    "Run it when no program uses the table any more. Only the catalog is changed.",
  ];
  const drop: ExpandPhase = {
    phase: "drop",
    name: fileWords("drop", table.name),
    why,
    up: inTransaction(
      createKeptSchema(),
      ...relations.map(({ from }) => `ALTER TABLE ${from} SET SCHEMA ${identifier(KEPT_SCHEMA)}`),
      ...statistics.map(
        ({ schema, name }) => `ALTER STATISTICS ${identifier(schema, name)} SET SCHEMA ${identifier(KEPT_SCHEMA)}`,
      ),
    ),
    down: inTransaction(
      ...relations.map(({ to, schema }) => `ALTER TABLE ${to} SET SCHEMA ${identifier(schema)}`),
      ...statistics.map(
        ({ schema, name }) => `ALTER STATISTICS ${identifier(KEPT_SCHEMA, name)} SET SCHEMA ${identifier(schema)}`,
      ),
      dropKeptSchema(),
    ),
    backfill: undefined,
  };
  if (keys.length === 0) {
    return {
      phases: [drop],
      notices: [
        `nothing has to be done for the first release: bring out programs without ${table.name}, then run ${drop.name}`,
      ],
    };
  }
  const release: ExpandPhase = {
    phase: "release",
    name: fileWords("release", table.name),
    why: [
      `Programs may leave ${table.name} alone from here on: no foreign key holds other tables to its rows, or its rows to theirs.`,
      "Programs that still use it go on working.",
    ],
    up: keys.flatMap(({ schema, table: name, key }) =>
      inTransaction(`ALTER TABLE ${identifier(schema, name)} DROP CONSTRAINT ${identifier(key.name)}`),
    ),
    down: keys
      .toReversed()
      .flatMap(({ schema, table: name, key }) =>
        addForeignKey(identifier(schema, name), key, canWait(findTable(catalog, schema, name))),
      ),
    backfill: undefined,
  };
  return { phases: [release, drop], notices: [] };
}

/** The table with all its partitions. */
function familyOf(catalog: Catalog, table: Table): readonly Table[] {
  const full = `${table.schema}.${table.name}`;
  if (table.kind === "foreign")
    throw new InvalidInputError(`${full} is a foreign table: its rows are kept by the other server`, {
      hint: "DROP FOREIGN TABLE loses nothing of them",
    });
  if (table.partitionOf !== undefined || table.inherits.length > 0) {
    throw new InvalidInputError(`${full} is part of another table`, {
      hint: "detach it in a migration before: its rows are then no longer those of the other",
    });
  }
  const family: Table[] = [table];
  for (const member of family) {
    for (const other of catalog.tables) {
      const isPartition = other.partitionOf?.schema === member.schema && other.partitionOf.name === member.name;
      if (isPartition) family.push(other);
      if (other.inherits.some(({ schema, name }) => schema === member.schema && name === member.name))
        throw new InvalidInputError(`${other.schema}.${other.name} inherits from ${full}`, {
          hint: "end that with NO INHERIT in a migration before",
        });
    }
  }
  const taken = family.find(({ name }) =>
    [...catalog.tables, ...catalog.views].some((other) => other.schema === KEPT_SCHEMA && other.name === name),
  );
  if (taken !== undefined) {
    throw new InvalidInputError(`something of the name ${taken.name} is kept in ${KEPT_SCHEMA} already`, {
      hint: `let it go first: pgsteward migrate drop --forget table ${full}`,
    });
  }
  return family;
}

/** Views, functions, rules, policies of other tables, columns of the table's row type, publications that name it. */
function refuseUsers(catalog: Catalog, table: Table, family: readonly Table[]): void {
  const isOwn = (schema: string | undefined, name: string): boolean =>
    family.some((member) => member.schema === schema && member.name === name);
  const ownSequences = catalog.sequences.filter(
    ({ ownedBy }) => ownedBy !== undefined && isOwn(ownedBy.schema, ownedBy.table),
  );
  const isOwnSequence = (schema: string | undefined, name: string): boolean =>
    ownSequences.some((sequence) => sequence.schema === schema && sequence.name === name);
  const users = catalog.dependencies.flatMap(({ from, to }) => {
    const isUsed =
      to.kind === "sequence"
        ? isOwnSequence(to.schema, to.name)
        : ["table", "column", "constraint", "index", "rule"].includes(to.kind) && isOwn(to.schema, to.name);
    const isInside =
      isOwn(from.schema, from.name) ||
      (from.kind === "sequence" && isOwnSequence(from.schema, from.name)) ||
      from.kind === "statistics" ||
      (from.kind === "constraint" && isForeignKey(catalog, from.schema, from.name, from.part));
    return isUsed && !isInside ? [from] : [];
  });
  refuseDependants(`${table.schema}.${table.name}`, users);
}

/** The catalog does not list those that the server makes for each partition of a referenced table. */
function isForeignKey(catalog: Catalog, schema: string | undefined, table: string, name: string | undefined): boolean {
  const owner = catalog.tables.find((other) => other.schema === schema && other.name === table);
  const found = owner?.constraints.find((constraint) => constraint.name === name);
  return owner !== undefined && (found === undefined || found.kind === "foreign key");
}

/**
 * Foreign keys that would hold programs to a table they do not know: all that lead to it, and those of its own that refuse what is done
 * to other tables. Those that cascade keep its rows right while it is kept.
 */
function keysInTheWay(catalog: Catalog, table: Table, family: readonly Table[]): readonly IncomingKey[] {
  const isOwn = (schema: string, name: string): boolean =>
    family.some((member) => member.schema === schema && member.name === name);
  return catalog.tables.flatMap((other) => {
    const from = isOwn(other.schema, other.name);
    return other.constraints
      .filter(({ references, isLocal }) => {
        if (references === undefined || !isLocal) return false;
        const to = isOwn(references.schema, references.table);
        if (from === to) return false;
        const refuses = [references.onDelete, references.onUpdate].some(
          (action) => action === "no action" || action === "restrict",
        );
        return to || refuses;
      })
      .map((key) => ({ schema: other.schema, table: other.name, key }));
  });
}
