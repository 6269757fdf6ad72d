// A conversion that copies: where the rows of a table cannot stay together in one partition (hash), a partitioned table is filled beside
// it, kept equal by a trigger, and takes its name in one short transaction. The old table then follows, until it is dropped.
import { dollarQuoted, identifier, literal } from "../../postgres/index.ts";
import { batchedBlock } from "../expand/backfill-sql.ts";
import { alone, inTransaction, nothingToUndo, type ExpandGroup, type ExpandPhase } from "../expand/change.ts";
import { fileWords } from "../expand/names.ts";
import { walkKeyOf } from "../expand/parts.ts";
import { ownObjects, type ConversionParts } from "./conversion-parts.ts";
import {
  addIncoming,
  createKeys,
  createParent,
  dropIncoming,
  dropTriggers,
  lockAll,
  moveIdentity,
  ownSerials,
  renameIndex,
  storageClause,
  validateIncoming,
} from "./conversion-steps.ts";
import { withSuffix } from "./policy.ts";

const NEW = "_new";
const OLD = "_old";

interface Copy {
  readonly parts: ConversionParts;
  readonly modulus: number;
  /** The table, the new one until the switch, and the old one after it; quoted. */
  readonly table: string;
  readonly next: string;
  readonly old: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
}

export async function copyPhases(parts: ConversionParts, modulus: number): Promise<readonly ExpandPhase[]> {
  const { schema, name } = parts.table;
  const copy: Copy = {
    parts,
    modulus,
    table: identifier(schema, name),
    next: identifier(schema, withSuffix(name, NEW)),
    old: identifier(schema, withSuffix(name, OLD)),
    key: walkKeyOf(parts.table),
    columns: parts.table.columns.filter(({ generated }) => generated === undefined).map((column) => column.name),
  };
  const words = (phase: string): string => fileWords(phase, name, "by_hash_of", parts.column.name);
  const expand = await expandUp(copy);
  const fill = fillGroups(copy);
  return [
    {
      phase: "expand",
      name: words("expand"),
      why: [`Makes the partitioned table beside ${name}. A trigger writes to it what is written to ${name}.`],
      up: expand,
      down: inTransaction(...dropSync(copy, copy.table), `DROP TABLE ${copy.next}`),
      backfill: undefined,
    },
    {
      phase: "backfill",
      name: words("backfill"),
      why: [
        "Copies the rows that were there before, in batches that are each committed, and compares the keys of both tables.",
      ],
      up: fill,
      down: nothingToUndo(),
      backfill: undefined,
    },
    {
      phase: "switch",
      name: words("switch"),
      why: [
        `The partitioned table takes the name ${name}, and the old one becomes ${withSuffix(name, OLD)}, which follows it.`,
      ],
      up: switchUp(copy),
      // The new table has by now what belongs to the name: it is made and filled anew.
      down: [...switchBack(copy), ...expand, ...fill],
      backfill: undefined,
    },
    {
      phase: "contract",
      name: words("contract"),
      why: [`Drops ${withSuffix(name, OLD)} and the trigger. Run it when nobody needs the way back any more.`],
      irreversible: "the old table is dropped; its rows are in the new one",
      up: inTransaction(...dropSync(copy, copy.table), `DROP TABLE ${copy.old}`),
      down: [],
      backfill: undefined,
    },
  ];
}

async function expandUp(copy: Copy): Promise<readonly ExpandGroup[]> {
  const { parts, modulus, table, next } = copy;
  const { schema, name, owner } = parts.table;
  const storage = storageClause(parts);
  const partitions = Array.from({ length: modulus }, (_, remainder) => {
    const partition = identifier(schema, withSuffix(name, `_p${remainder}`));
    return [
      `CREATE TABLE ${partition} PARTITION OF ${next} FOR VALUES WITH (MODULUS ${modulus}, REMAINDER ${remainder})${storage}`,
      `ALTER TABLE ${partition} OWNER TO ${identifier(owner)}`,
    ];
  });
  const on = { schema, name: withSuffix(name, NEW) };
  return inTransaction(
    ...createParent(parts, table, next, `HASH (${identifier(parts.column.name)})`),
    ...(await createKeys(parts, on, (index) => withSuffix(index, NEW))),
    ...partitions.flat(),
    ...createSync(copy, table, next),
  );
}

/** A row that is held while it is copied cannot change or go between its reading and its writing. */
function fillGroups({ parts, table, next, key, columns }: Copy): readonly ExpandGroup[] {
  const list = columns.map((name) => identifier(name)).join(", ");
  const batch = (window: string): string =>
    `INSERT INTO ${next} (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM ${table} WHERE ${window} FOR SHARE ON CONFLICT DO NOTHING;`;
  const same = key.map((name) => `a.${identifier(name)} = b.${identifier(name)}`).join(" AND ");
  const missing = (from: string, to: string): string =>
    `EXISTS (SELECT FROM ${from} AS a WHERE NOT EXISTS (SELECT FROM ${to} AS b WHERE ${same}))`;
  const finish = `
  IF ${missing(table, next)} OR ${missing(next, table)} THEN
    RAISE EXCEPTION 'the copy of % is not complete', ${literal(parts.table.name)};
  END IF;`;
  return alone("SET row_security = off", batchedBlock(table, key, { batch, finish }), "RESET row_security");
}

function switchUp(copy: Copy): readonly ExpandGroup[] {
  const { parts, table, next, old } = copy;
  const { name } = parts.table;
  const names = [...parts.uniques.map(({ index }) => index.name), ...parts.indexes.map((index) => index.name)];
  return [
    ...inTransaction(
      lockAll(parts, table, next),
      ...dropIncoming(parts),
      ...dropSync(copy, table),
      ...dropTriggers(parts, table),
      `ALTER TABLE ${table} RENAME TO ${identifier(withSuffix(name, OLD))}`,
      ...names.map((index) => renameIndex(parts, index, withSuffix(index, OLD))),
      `ALTER TABLE ${next} RENAME TO ${identifier(name)}`,
      ...names.map((index) => renameIndex(parts, withSuffix(index, NEW), index)),
      ...moveIdentity(parts, old, table),
      ...ownSerials(parts, table),
      ...createSync(copy, table, old),
      ...ownObjects(parts, ["row security", "policy", "trigger", "privileges", "replica identity", "comment"]),
      ...parts.views,
      ...parts.policiesElsewhere,
      ...addIncoming(parts),
    ),
    ...validateIncoming(parts),
  ];
}

function switchBack(copy: Copy): readonly ExpandGroup[] {
  const { parts, table, next, old } = copy;
  const { name } = parts.table;
  const names = [...parts.uniques.map(({ index }) => index.name), ...parts.indexes.map((index) => index.name)];
  return [
    ...inTransaction(
      lockAll(parts, table, old),
      ...dropIncoming(parts),
      ...dropSync(copy, table),
      ...dropTriggers(parts, table),
      `ALTER TABLE ${table} RENAME TO ${identifier(withSuffix(name, NEW))}`,
      `ALTER TABLE ${old} RENAME TO ${identifier(name)}`,
      ...moveIdentity(parts, next, table),
      ...ownSerials(parts, table),
      ...parts.views,
      ...parts.policiesElsewhere,
      `DROP TABLE ${next}`,
      ...names.map((index) => renameIndex(parts, withSuffix(index, OLD), index)),
      ...ownObjects(parts, ["trigger", "comment"]),
      ...addIncoming(parts),
    ),
    ...validateIncoming(parts),
  ];
}

function syncName({ parts }: Copy, suffix = ""): string {
  return withSuffix(`zz_copy_${parts.table.name}`, suffix);
}

/** With the rights of its owner: programs have none on the other table. */
function createSync(copy: Copy, from: string, to: string): readonly string[] {
  const { parts, key, columns } = copy;
  const name = identifier(parts.table.schema, syncName(copy));
  const list = columns.map((column) => identifier(column)).join(", ");
  const values = columns.map((column) => `NEW.${identifier(column)}`).join(", ");
  const isOld = key.map((column) => `${identifier(column)} = OLD.${identifier(column)}`).join(" AND ");
  return [
    `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS ${dollarQuoted(`
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    TRUNCATE ${to};
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM ${to} WHERE ${isOld};
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO ${to} (${list}) OVERRIDING SYSTEM VALUE VALUES (${values});
  END IF;
  RETURN NULL;
END
`)}`,
    `CREATE TRIGGER ${identifier(syncName(copy))} AFTER INSERT OR UPDATE OR DELETE ON ${from} FOR EACH ROW EXECUTE FUNCTION ${name}()`,
    `CREATE TRIGGER ${identifier(syncName(copy, "_all"))} AFTER TRUNCATE ON ${from} FOR EACH STATEMENT EXECUTE FUNCTION ${name}()`,
  ];
}

function dropSync(copy: Copy, from: string): readonly string[] {
  return [
    `DROP TRIGGER ${identifier(syncName(copy))} ON ${from}`,
    `DROP TRIGGER ${identifier(syncName(copy, "_all"))} ON ${from}`,
    `DROP FUNCTION ${identifier(copy.parts.table.schema, syncName(copy))}()`,
  ];
}
