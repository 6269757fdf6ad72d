// Where the values of a column stand while it is gone: a table of keys and values, filled in batches while a trigger keeps it equal, which
// follows the rows when they go or get another key.
import { collate, type Catalog, type Column, type Table } from "../../catalog/index.ts";
import { dollarQuoted, identifier } from "../../postgres/index.ts";
import { batchedBlock } from "../expand/backfill-sql.ts";
import { alone, type ExpandGroup } from "../expand/change.ts";
import { suffixed } from "../expand/names.ts";
import { findColumn } from "../expand/parts.ts";
import { comparesAsText } from "../expand/sync.ts";
import { childrenOf } from "./column-family.ts";
import { KEPT_SCHEMA, keptColumnTable } from "./kept-names.ts";

export interface KeptCopy {
  readonly table: Table;
  readonly column: Column;
  readonly rowKey: readonly string[];
  /** Whether the table alone is meant, without heirs that have copies of their own. */
  readonly isOnly: boolean;
  /** A foreign key follows the rows, but not out of a partition that is detached or dropped: there triggers do. */
  readonly hasTriggers: boolean;
}

/** A partitioned table has one copy for all of its partitions, heirs have one each: their keys may be the same. */
export function keptCopies(
  catalog: Catalog,
  members: readonly Table[],
  column: string,
  rowKeyOf: (table: Table) => readonly string[],
): readonly KeptCopy[] {
  return members
    .filter(({ partitionOf }) => partitionOf === undefined)
    .map((table) => ({
      table,
      column: findColumn(table, column),
      rowKey: rowKeyOf(table),
      isOnly: table.kind === "table" && childrenOf(catalog, table).length > 0,
      hasTriggers: table.kind === "partitioned",
    }));
}

/** The table that keeps the values, as SQL. */
export function keptTable({ table, column }: Pick<KeptCopy, "table" | "column">): string {
  return identifier(KEPT_SCHEMA, keptName({ table, column }));
}

function keptName({ table, column }: Pick<KeptCopy, "table" | "column">): string {
  return keptColumnTable({ schema: table.schema, table: table.name, column: column.name });
}

/** For FROM and UPDATE. */
export function rowsOf({ table, isOnly }: KeptCopy): string {
  return `${isOnly ? "ONLY " : ""}${identifier(table.schema, table.name)}`;
}

export function createCopy(copy: KeptCopy): readonly string[] {
  const { table, column, rowKey, hasTriggers } = copy;
  const relation = identifier(table.schema, table.name);
  const kept = keptTable(copy);
  const key = rowKey.map((name) => identifier(name));
  const keys = key.join(", ");
  const name = identifier(column.name);
  const asText = comparesAsText(column.baseType) ? "::text" : "";
  const columns = [...rowKey.map((each) => findColumn(table, each)), column].map((each) => columnSql(each));
  const reference = `,\n  FOREIGN KEY (${keys}) REFERENCES ${relation} (${keys}) ON UPDATE CASCADE ON DELETE CASCADE`;
  return [
    // A row that goes, or gets another key, takes its value along.
    `CREATE ${table.persistence === "unlogged" ? "UNLOGGED " : ""}TABLE ${kept} (
  ${columns.join(",\n  ")},
  PRIMARY KEY (${keys})${hasTriggers ? "" : reference}
)`,
    ...(hasTriggers ? followRows(copy) : []),
    // Whoever writes to the table has no right to write here.
    `CREATE FUNCTION ${kept}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS ${dollarQuoted(`
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.${name}${asText} IS NOT DISTINCT FROM OLD.${name}${asText} THEN
    RETURN NULL;
  END IF;
  INSERT INTO ${kept} (${keys}, ${name}) VALUES (${[...key, name].map((each) => `NEW.${each}`).join(", ")})
  ON CONFLICT (${keys}) DO UPDATE SET ${name} = excluded.${name};
  RETURN NULL;
END
`)}`,
    `CREATE TRIGGER ${copyTrigger(copy)} AFTER INSERT OR UPDATE ON ${relation}
  FOR EACH ROW EXECUTE FUNCTION ${kept}()`,
  ];
}

/** A row that goes to another partition is a row that is deleted and another one that comes: it is followed before. */
function followRows(copy: KeptCopy): readonly string[] {
  const relation = identifier(copy.table.schema, copy.table.name);
  const kept = keptTable(copy);
  const key = copy.rowKey.map((name) => identifier(name));
  const is = (row: string): string => key.map((name) => `${name} = ${row}.${name}`).join(" AND ");
  const row = (side: string): string => `ROW(${key.map((name) => `${side}.${name}`).join(", ")})`;
  const [gone, moved] = followTriggers(copy);
  return [
    `CREATE FUNCTION ${followFunction(copy)}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS ${dollarQuoted(`
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM ${kept} WHERE ${is("OLD")};
    RETURN NULL;
  END IF;
  DELETE FROM ${kept} WHERE ${is("NEW")};
  UPDATE ${kept} SET ${key.map((name) => `${name} = NEW.${name}`).join(", ")} WHERE ${is("OLD")};
  RETURN NEW;
END
`)}`,
    `CREATE TRIGGER ${gone} AFTER DELETE ON ${relation}
  FOR EACH ROW EXECUTE FUNCTION ${followFunction(copy)}()`,
    `CREATE TRIGGER ${moved} BEFORE UPDATE ON ${relation}
  FOR EACH ROW WHEN (${row("OLD")} IS DISTINCT FROM ${row("NEW")}) EXECUTE FUNCTION ${followFunction(copy)}()`,
  ];
}

export function fillCopy(copy: KeptCopy): readonly ExpandGroup[] {
  const { table, column, rowKey } = copy;
  const keys = rowKey.map((name) => identifier(name)).join(", ");
  const name = identifier(column.name);
  // A default would fill rows that come back: then NULL has to be kept, too.
  const where = column.default === undefined ? ` AND ${name} IS NOT NULL` : "";
  // A row that somebody deletes at this moment is waited for: its trigger would look for the value too early.
  const lock = copy.hasTriggers ? " FOR KEY SHARE" : "";
  const batch = (window: string): string =>
    `INSERT INTO ${keptTable(copy)} (${keys}, ${name}) SELECT ${keys}, ${name} FROM ${rowsOf(copy)} WHERE ${window}${where}${lock} ON CONFLICT DO NOTHING;`;
  const block = batchedBlock(identifier(table.schema, table.name), rowKey, { batch, finish: "", rows: rowsOf(copy) });
  return alone("SET row_security = off", block, "RESET row_security");
}

/** The copy is complete, and nobody may write the column any more. */
export function endCopying(copy: KeptCopy): readonly string[] {
  return [
    `DROP TRIGGER ${copyTrigger(copy)} ON ${identifier(copy.table.schema, copy.table.name)}`,
    `DROP FUNCTION ${keptTable(copy)}()`,
  ];
}

export function dropCopy(copy: KeptCopy): readonly string[] {
  const relation = identifier(copy.table.schema, copy.table.name);
  return [
    ...(copy.hasTriggers
      ? [
          ...followTriggers(copy).map((name) => `DROP TRIGGER ${name} ON ${relation}`),
          `DROP FUNCTION ${followFunction(copy)}()`,
        ]
      : []),
    `DROP TABLE ${keptTable(copy)}`,
  ];
}

function copyTrigger({ column }: KeptCopy): string {
  return identifier(suffixed(`zz_keep_${column.name}`, ""));
}

function followTriggers({ column }: KeptCopy): readonly [string, string] {
  return [
    identifier(suffixed(`zz_kept_${column.name}`, "_gone")),
    identifier(suffixed(`zz_kept_${column.name}`, "_moved")),
  ];
}

function followFunction(copy: Pick<KeptCopy, "table" | "column">): string {
  return identifier(KEPT_SCHEMA, suffixed(keptName(copy), "_follow"));
}

/** `"note" text COLLATE "C"`. Of a domain the values are kept, and neither its conditions nor the domain itself are needed. */
function columnSql(column: Column): string {
  return `${identifier(column.name)} ${column.baseType}${collate(column.collation)}`;
}

/** What is kept of a column by now, with the triggers that follow its rows, as statements that let it go. */
export function forgetCopies(catalog: Catalog, table: Table, column: string): readonly string[] {
  const family = [table];
  for (const member of family)
    family.push(
      ...childrenOf(catalog, member).filter((child) => !family.includes(child) && child.partitionOf === undefined),
    );
  return family.flatMap((member) => {
    const name = keptColumnTable({ schema: member.schema, table: member.name, column });
    if (!catalog.tables.some((kept) => kept.schema === KEPT_SCHEMA && kept.name === name)) return [];
    const follow = suffixed(name, "_follow");
    const triggers = member.triggers.filter(
      ({ functionSchema, functionName, isLocal }) =>
        isLocal && functionSchema === KEPT_SCHEMA && functionName === follow,
    );
    return [
      ...triggers.map(
        (trigger) => `DROP TRIGGER ${identifier(trigger.name)} ON ${identifier(member.schema, member.name)}`,
      ),
      ...(triggers.length === 0 ? [] : [`DROP FUNCTION ${identifier(KEPT_SCHEMA, follow)}()`]),
      `DROP TABLE ${identifier(KEPT_SCHEMA, name)}`,
    ];
  });
}
