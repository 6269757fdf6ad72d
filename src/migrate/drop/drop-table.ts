// The two releases of a table's drop. It is moved, not copied: everything on it goes along, and comes back with it.
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier, InvalidInputError } from "../../postgres/index.ts";
import { inTransaction, type ExpandGroup, type ExpandPhase } from "../expand/change.ts";
import { addForeignKey, createKeptSchema, dropKeptSchema, refuseDependants, type DropChange } from "./drop-parts.ts";
import { plannedWay } from "./column-catalogs.ts";
import { childrenOf, parentsOf } from "./column-family.ts";
import { publishedNotice, withoutPublished } from "./published.ts";
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
  const leaving = leaveParent(catalog, table);
  const unpublished = withoutPublished(catalog, family);
  const notices = [...leaving.notices, ...publishedNotice(unpublished, table.name)];
  const keys = keysInTheWay(catalog, table, family);
  // Those that come from the parent can only go when it has been left.
  const [inherited, own] = [keys.filter(({ key }) => !key.isLocal), keys.filter(({ key }) => key.isLocal)];
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
    why: [...why, ...familyText(table, family), ...leaving.why],
    up: [
      ...plannedWay(catalog, unpublished.catalog).groups,
      ...leaving.up,
      ...inTransaction(
        createKeptSchema(),
        ...leaving.together.up,
        ...dropKeys(inherited),
        ...relations.map(({ from }) => `ALTER TABLE ${from} SET SCHEMA ${identifier(KEPT_SCHEMA)}`),
        ...statistics.map(
          ({ schema, name }) => `ALTER STATISTICS ${identifier(schema, name)} SET SCHEMA ${identifier(KEPT_SCHEMA)}`,
        ),
      ),
    ],
    down: [
      ...inTransaction(
        ...relations.map(({ to, schema }) => `ALTER TABLE ${to} SET SCHEMA ${identifier(schema)}`),
        ...statistics.map(
          ({ schema, name }) => `ALTER STATISTICS ${identifier(KEPT_SCHEMA, name)} SET SCHEMA ${identifier(schema)}`,
        ),
        ...leaving.together.down,
        dropKeptSchema(),
      ),
      ...addKeys(inherited, () => true),
      ...leaving.down,
      ...plannedWay(unpublished.catalog, catalog).groups,
    ],
    backfill: undefined,
  };
  if (own.length === 0) {
    return {
      phases: [drop],
      notices: [
        ...notices,
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
    up: own.flatMap((key) => inTransaction(...dropKeys([key]))),
    down: addKeys(own.toReversed(), canWait),
    backfill: undefined,
  };
  return { phases: [release, drop], notices };

  function addKeys(back: readonly IncomingKey[], mayWait: (relation: Table) => boolean): readonly ExpandGroup[] {
    return back.flatMap(({ schema, table: name, key }) =>
      addForeignKey(identifier(schema, name), key, mayWait(findTable(catalog, schema, name))),
    );
  }
}

/** Before PostgreSQL 18 a detached partition has lost those of its parent by then. */
function dropKeys(keys: readonly IncomingKey[]): readonly string[] {
  return keys.map(
    ({ schema, table, key }) =>
      `ALTER TABLE ${identifier(schema, table)} DROP CONSTRAINT ${key.isLocal ? "" : "IF EXISTS "}${identifier(key.name)}`,
  );
}

function familyText(table: Table, family: readonly Table[]): readonly string[] {
  const heirs = family.filter((member) => member !== table).map(({ schema, name }) => `${schema}.${name}`);
  return heirs.length === 0 ? [] : [`What is part of it goes along: ${heirs.join(", ")}.`];
}

interface Leaving {
  readonly why: readonly string[];
  readonly notices: readonly string[];
  /** Before the table is moved, and after it is back. */
  readonly up: readonly ExpandGroup[];
  readonly down: readonly ExpandGroup[];
  /** In the transaction of the move. */
  readonly together: { readonly up: readonly string[]; readonly down: readonly string[] };
}

/** A partition is detached, an heir disinherited: their rows are no longer those of the parent. */
function leaveParent(catalog: Catalog, table: Table): Leaving {
  const { schema, name, partitionOf, inherits } = table;
  const relation = identifier(schema, name);
  const nothing = { why: [], notices: [], up: [], down: [], together: { up: [], down: [] } };
  if (partitionOf !== undefined) {
    const parent = `${partitionOf.schema}.${partitionOf.name}`;
    const apart = {
      ...catalog,
      tables: catalog.tables.map((other) => (other === table ? { ...table, partitionOf: undefined } : other)),
    };
    const back = plannedWay(apart, catalog);
    return {
      ...nothing,
      why: [
        `It is a partition of ${parent}, and is detached first. On the way back a check proves its bound before it is attached.`,
      ],
      notices: [
        `while it is kept, ${parent} refuses rows that belong into ${name}, or puts them into the default partition, and then the way back refuses`,
        ...back.hazards.map((hazard) => `the way back: ${hazard}`),
      ],
      up: plannedWay(catalog, apart).groups,
      down: back.groups,
    };
  }
  if (inherits.length === 0) return nothing;
  const parents = parentsOf(catalog, table);
  const passed = [
    ...table.columns.filter((column) => !column.isLocal).map((column) => column.name),
    ...table.constraints.filter(({ kind, isLocal }) => kind === "check" && !isLocal).map((check) => check.name),
  ];
  if (passed.length > 0) {
    throw new InvalidInputError(
      `${schema}.${name} has ${passed.join(", ")} from ${parents.map((each) => `${each.schema}.${each.name}`).join(", ")}`,
      {
        hint: "PostgreSQL makes them its own when it is disinherited, and nothing makes them inherited again: drop it in one step, or drop the parent with all its heirs",
      },
    );
  }
  return {
    ...nothing,
    together: {
      up: parents.map((each) => `ALTER TABLE ${relation} NO INHERIT ${identifier(each.schema, each.name)}`),
      down: inherits.map((each) => `ALTER TABLE ${relation} INHERIT ${identifier(each.schema, each.name)}`),
    },
  };
}

/** The table with all its partitions, or heirs: PostgreSQL drops these with it, and so they are kept with it. */
function familyOf(catalog: Catalog, table: Table): readonly Table[] {
  const full = `${table.schema}.${table.name}`;
  if (table.kind === "foreign")
    throw new InvalidInputError(`${full} is a foreign table: its rows are kept by the other server`, {
      hint: "DROP FOREIGN TABLE loses nothing of them",
    });
  const family: Table[] = [table];
  for (const member of family) family.push(...childrenOf(catalog, member).filter((child) => !family.includes(child)));
  for (const heir of family.slice(1)) {
    const other = parentsOf(catalog, heir).find((parent) => !family.includes(parent));
    if (other === undefined) continue;
    throw new InvalidInputError(
      `${heir.schema}.${heir.name} inherits from ${full} and from ${other.schema}.${other.name}`,
      {
        hint: `it would go along, and ${other.schema}.${other.name} would lose its rows: end one of the two with NO INHERIT in a migration before`,
      },
    );
  }
  const foreign = family.find(({ kind }) => kind === "foreign");
  if (foreign !== undefined) {
    throw new InvalidInputError(`${foreign.schema}.${foreign.name}, a foreign table, is part of ${full}`, {
      hint: "its rows are kept by the other server: detach it in a migration before",
    });
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

/** Views, functions, rules, policies of other tables, columns of the table's row type. */
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
      from.kind === "publication table" ||
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
        // A partition has them from the table that it is detached from.
        if (references === undefined || (!isLocal && other !== table)) return false;
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
