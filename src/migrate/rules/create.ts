// How each kind of object is created beside a live workload: the plain statements of the catalog, or their forms that do not hold
// a strong lock while they scan.
import {
  alterTable,
  constraintDefinition,
  createStatements as plainStatements,
  holdsSecret,
  MASKED,
  nameOf,
  onlyOf,
  objectId,
  partOf,
  type CatalogObject,
  type CreateContext,
} from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { heirsOf } from "../object-lookups.ts";
import { alterColumn } from "./alter-column.ts";
import { backfillBlock } from "./backfill-block.ts";
import { authorisation } from "./privileges.ts";
import { isHeir, nullability } from "./not-null.ts";
import { attachStatements } from "./partition.ts";
import { setToHighest, statement, undoneBy, type PlannedStatement, type RuleContext } from "./statement.ts";

export interface Creation {
  readonly statements: readonly PlannedStatement[];
  /** What follows in a transaction of its own, when the rest is done. */
  readonly validation: readonly PlannedStatement[];
}

/** The statements that create an object of the catalog after. */
export function createStatements(object: CatalogObject, context: RuleContext, create: CreateContext): Creation {
  const plain = plainStatements(object, create);
  if (object.kind === "index") return done(indexStatements(object, plain, context));
  if (object.kind === "partition") return done(attachStatements(object, plain, context));
  if (object.kind === "constraint") return constraintStatements(object, plain, context);
  if (object.kind === "column") return columnStatements(object, plain, context, create);
  if (object.kind === "privileges" || object.kind === "default privileges" || object.kind === "owner")
    return done(plain.map(authorisation));
  if (object.kind === "policy" || object.kind === "row security") {
    const hazard = { kind: "authorisation", why: "who sees which rows changes" } as const;
    return done(plain.map((sql) => statement(sql, [hazard])));
  }
  if (holdsSecret(object)) {
    const hazard = { kind: "not covered", why: `passwords are never read: put the right value for ${MASKED}` } as const;
    return done(plain.map((sql) => statement(sql, sql.includes(MASKED) ? [hazard] : [])));
  }
  const statements = plain.map((sql) => statement(sql));
  // A body may name what only comes later.
  if (object.kind === "function") return done([statement("SET LOCAL check_function_bodies = off"), ...statements]);
  if (object.kind === "sequence owner") return done([...statements, ...caughtUp(object, context)]);
  return done(statements);
}

function done(statements: readonly PlannedStatement[]): Creation {
  return { statements, validation: [] };
}

function columnStatements(
  column: CatalogObject<"column">,
  plain: readonly string[],
  context: RuleContext,
  create: CreateContext,
): Creation {
  const { identity, generated, isNullable } = column.facts;
  const value = create.objects.get(`default ${column.id.slice("column ".length)}`);
  const hasValue = value !== undefined || identity !== undefined || generated !== undefined;
  const table = context.after.get(column.parent ?? "");
  const isOfUsedTable =
    context.isLive(column.parent) && table?.kind === "table" && table.facts.kind !== "foreign" && !column.inheritedFrom;
  if (isOfUsedTable && value?.kind === "default") {
    const isSeparate = create.separateDefaults.has(value.id);
    if (isSeparate || context.isVolatile(value.facts.expression))
      return filledColumn(column, value, isSeparate, table.facts.kind === "partitioned", context, create);
  }
  return done([
    ...plain.map((sql, position) => {
      if (position > 0) return statement(sql);
      if (identity !== undefined || generated?.kind === "stored") {
        return statement(sql, [{ kind: "rewrite", why: "every row gets its value while the table is locked" }]);
      }
      if (!isNullable && !hasValue) {
        return statement(sql, [
          { kind: "may fail", why: "existing rows have no value for a column that is NOT NULL without a default" },
        ]);
      }
      return statement(sql);
    }),
    ...heirSettings(column, context),
  ]);
}

/**
 * What partitions and heirs have of their own on a column that comes down to them.
 *
 * @param added - the column that is added: all generations get it as it is there
 */
function heirSettings(
  column: CatalogObject<"column">,
  context: RuleContext,
  added: CatalogObject<"column"> = column,
): readonly PlannedStatement[] {
  return heirsOf(column.id, context.after).flatMap((heir) => {
    const isPassedDown = heir.kind === "column" && !context.before.has(heir.id) && isHeir(heir, column, context.before);
    if (!isPassedDown) return [];
    // ALTER TABLE of the parent brings these two down, and no other.
    const { storage, statisticsTarget } = added.facts;
    const settings = { storage, statisticsTarget, compression: undefined, options: [] };
    const facts = { ...heir.facts, ...settings, isNullable: column.facts.isNullable };
    const alteration = alterColumn({ ...heir, facts }, heir, context);
    return [
      ...(alteration === "recreate" ? [] : alteration.statements),
      ...heirDefault(heir, added, context),
      ...heirSettings(heir, context, added),
    ];
  });
}

/** The default comes down too. */
function heirDefault(
  heir: CatalogObject<"column">,
  column: CatalogObject<"column">,
  { after }: RuleContext,
): readonly PlannedStatement[] {
  const [own, passed] = [heir, column].map(({ id }) => {
    const value = after.get(`default ${id.slice("column ".length)}`);
    return value?.kind === "default" ? value.facts.expression : undefined;
  });
  if (own === passed) return [];
  const start = alterTable(after.get(heir.parent ?? ""), heir, onlyOf(after.get(heir.parent ?? "")));
  const set = `${start} ALTER COLUMN ${partOf(heir)} ${own === undefined ? "DROP DEFAULT" : `SET DEFAULT ${own}`}`;
  return [undoneBy("", statement(set))];
}

/** A value of its own for each row would rewrite the table while it is locked: rows are filled later, new ones have the default. */
function filledColumn(
  column: CatalogObject<"column">,
  value: CatalogObject<"default">,
  isSeparate: boolean,
  isPartitioned: boolean,
  context: RuleContext,
  create: CreateContext,
): Creation {
  const empty: CatalogObject<"column"> = { ...column, facts: { ...column.facts, isNullable: true } };
  const withoutDefaults = { ...create, separateDefaults: new Set([...create.separateDefaults, value.id]) };
  const { schema = "", name: table, part = "" } = column;
  const work = {
    name: [schema, table, part].join("."),
    schema,
    table,
    set: `${identifier(part)} = ${value.facts.expression}`,
    where: `${identifier(part)} IS NULL`,
  };
  const fill = statement(
    backfillBlock(work, isPartitioned),
    [{ kind: "scan", why: "writes every row, piece by piece, each piece committed" }],
    "outside",
  );
  return {
    statements: [
      ...plainStatements(empty, withoutDefaults).map((sql) => statement(sql)),
      // Partitions and heirs get it too: they have the column from here.
      ...(isSeparate
        ? []
        : [
            undoneBy(
              "",
              statement(
                `${alterTable(context.after.get(column.parent ?? ""), column)} ALTER COLUMN ${partOf(column)} SET DEFAULT ${value.facts.expression}`,
              ),
            ),
          ]),
      ...heirSettings(column, context),
    ],
    validation: [
      {
        ...fill,
        reversal: "",
        backfill: work,
        locks: [{ relation: nameOf(column), mode: "ROW EXCLUSIVE", rewrite: false, scan: true }],
      },
      ...(column.facts.isNullable ? [] : nullability(empty, column, context)),
    ],
  };
}

/** CONCURRENTLY where others use the table; the server knows no such form for partitioned tables. */
function indexStatements(
  index: CatalogObject<"index">,
  plain: readonly string[],
  context: RuleContext,
): PlannedStatement[] {
  return plain.map((sql, position) => {
    const isPartitioned = index.facts.definition.includes(" ON ONLY ");
    if (position > 0 || isPartitioned || !context.isLive(index.parent)) return statement(sql);
    return statement(sql.replace(/^(CREATE (?:UNIQUE )?INDEX) /, "$1 CONCURRENTLY "), [], "outside");
  });
}

/** WITHOUT OVERLAPS makes an index that no other statement makes. */
const KEY =
  /^(PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? (\((?![^()]* WITHOUT OVERLAPS\))[^()]*\))( INCLUDE \([^()]*\))?((?: [A-Z ]+)?)$/;

function constraintStatements(
  object: CatalogObject<"constraint">,
  plain: readonly string[],
  context: RuleContext,
): Creation {
  const table = context.after.get(object.parent ?? "");
  const isPartitioned = table?.kind === "table" && table.facts.kind === "partitioned";
  const { kind, definition } = object.facts;
  if (!context.isLive(object.parent) || table?.kind !== "table" || table.facts.kind === "foreign")
    return done(plain.map((sql) => statement(sql)));
  if (kind === "check" || kind === "foreign key") {
    // Before 18 the foreign key of a partitioned table cannot be NOT VALID; NOT ENFORCED ones are never checked.
    const isPlain = isPartitioned && kind === "foreign key" && context.serverVersion < 180000;
    if (isPlain && !/ NOT (?:VALID|ENFORCED)$/.test(definition)) return done(byPartitions(object, plain, context));
    // A table that is about to join its parent proves the parent's check before.
    const joins = object.inheritedFrom !== undefined;
    if (joins || / NOT (?:VALID|ENFORCED)$/.test(definition)) return done(plain.map((sql) => statement(sql)));
    const [sql = ""] = plain;
    return {
      statements: [statement(`${sql} NOT VALID`)],
      validation: [validation(object, context)],
    };
  }
  // ONLY reads nothing; the partitions' own keys are built beforehand, and then join it.
  if (isPartitioned) return done(plain.map((sql) => statement(sql)));
  const key = keyParts(object);
  if (key === undefined) {
    return done(
      plain.map((sql) =>
        statement(sql, [{ kind: "blocks writes", why: "the index is built while the table is locked" }]),
      ),
    );
  }
  const name = partOf(object);
  return done([
    undoneBy(
      `DROP INDEX CONCURRENTLY IF EXISTS ${identifier(object.schema ?? "", object.part ?? "")}`,
      statement(
        `CREATE UNIQUE INDEX CONCURRENTLY ${name} ON ${nameOf(object)} ${key.columns}`,
        [{ kind: "may fail", why: "rows may have the same values" }],
        "outside",
      ),
    ),
    statement(`${alterTable(table, object)} ADD CONSTRAINT ${name} ${key.word} USING INDEX ${name}${key.tail}`),
  ]);
}

/** Each partition proves its own foreign key; that of the table takes them as they are, and reads nothing. */
function byPartitions(
  object: CatalogObject<"constraint">,
  plain: readonly string[],
  context: RuleContext,
): readonly PlannedStatement[] {
  const leaves = leavesOf(object.schema, object.name, context);
  const name = partOf(object);
  const lock = { mode: "SHARE ROW EXCLUSIVE", rewrite: false, scan: false } as const;
  // The triggers of the partitions' own foreign keys go from the referenced table (measured on 14).
  const locks = [
    ...[object, ...leaves].map((table) => ({ ...lock, relation: nameOf(table) })),
    ...object.needs.flatMap((id) => {
      const table = context.after.get(id);
      const isReferenced = table?.kind === "table" && id !== object.parent;
      return isReferenced ? [{ ...lock, relation: nameOf(table), mode: "ACCESS EXCLUSIVE" as const }] : [];
    }),
  ];
  return [
    ...leaves.map((leaf) =>
      undoneBy(
        `${alterTable(leaf, leaf)} DROP CONSTRAINT IF EXISTS ${name}`,
        statement(`${alterTable(leaf, leaf)} ADD CONSTRAINT ${name} ${object.facts.definition} NOT VALID`),
      ),
    ),
    ...leaves.map((leaf) =>
      undoneBy(
        "",
        statement(
          `${alterTable(leaf, leaf)} VALIDATE CONSTRAINT ${name}`,
          [{ kind: "scan", why: "reads the whole table; others read and write meanwhile" }],
          "own",
        ),
      ),
    ),
    ...plain.map((sql) => (leaves.length === 0 ? statement(sql) : { ...statement(sql), locks })),
  ];
}

/** Partitions that hold rows, at any depth, as they are before and after. */
function leavesOf(schema: string | undefined, name: string, context: RuleContext): readonly CatalogObject<"table">[] {
  return [...context.after.values()].flatMap((object) => {
    if (object.kind !== "partition" || object.facts.parentSchema !== schema || object.facts.parentTable !== name)
      return [];
    const table = context.after.get(object.parent ?? "");
    if (table?.kind !== "table" || !context.isLive(table.id) || !context.before.has(object.id)) return [];
    if (table.facts.kind === "partitioned") return leavesOf(table.schema, table.name, context);
    return table.facts.kind === "foreign" ? [] : [table];
  });
}

/** What a key's index is made of; `undefined` when no other statement makes such an index. */
export function keyParts({
  facts,
}: CatalogObject<"constraint">):
  | { readonly word: string; readonly columns: string; readonly tail: string }
  | undefined {
  if (facts.storageParameters.length > 0 || facts.tablespace !== undefined) return undefined;
  const found = KEY.exec(constraintDefinition(facts));
  if (found === null) return undefined;
  const [, word = "", distinct = "", columns = "", include = "", tail = ""] = found;
  return { word, columns: `${columns}${include}${distinct}`, tail };
}

/** Reads the table under a lock that lets others read and write. */
export function validation(constraint: CatalogObject<"constraint">, context: RuleContext): PlannedStatement {
  const table = context.after.get(constraint.parent ?? "");
  const hazard = { kind: "scan", why: "reads the whole table; others read and write meanwhile" } as const;
  return statement(`${alterTable(table, constraint)} VALIDATE CONSTRAINT ${partOf(constraint)}`, [hazard], "own");
}

/** A sequence that a column with rows gets goes on after the highest of them. */
function caughtUp(object: CatalogObject<"sequence owner">, context: RuleContext): readonly PlannedStatement[] {
  const { schema, table, column } = object.facts;
  return context.before.has(objectId("column", schema, table, column))
    ? [statement(setToHighest(schema, table, column))]
    : [];
}
