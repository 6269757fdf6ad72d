// What every part of the catalog's reading shares: the shape of a part, the schemas it covers, and small conversions.
import { InternalError, type QueryResult, type Statement } from "../../postgres/index.ts";
import type { ObjectReference } from "../model.ts";

/** What is read: the server decides which columns exist, the schemas and the switch travel as parameters. */
export interface Scope {
  /** `server_version_num`. */
  readonly serverVersion: number;
  /** `undefined`: every schema that is not the system's. */
  readonly schemas: readonly string[] | undefined;
  readonly includeExtensionObjects: boolean;
}

/** One statement and what becomes of its rows. */
export interface Part<T> {
  readonly statement: Statement;
  readonly map: (result: QueryResult) => T;
  /** What the dependencies call the objects among its rows. */
  readonly names?: (result: QueryResult) => readonly NamedObject[];
}

/** An object by the place that pg_depend knows it under. */
export interface NamedObject {
  /** `pg_class.oid` of its catalog. */
  readonly catalog: number;
  readonly oid: number;
  /** Like that of its relation when there is none. */
  readonly kind: ObjectReference["kind"] | undefined;
  /** `pg_class.oid` of the relation that it belongs to, whose schema and name it has. */
  readonly relation?: number | undefined;
  readonly schema?: string | undefined;
  readonly name?: string | undefined;
  readonly part?: string | undefined;
}

/** They are the same in every database (`BKI` lines of src/include/catalog). */
export const CATALOG_OIDS = {
  pg_class: 1259,
  pg_proc: 1255,
  pg_constraint: 2606,
  pg_attrdef: 2604,
  pg_policy: 3256,
  pg_extension: 3079,
} as const;

/** Names of schemas that start with `pg_` are reserved by the server for itself: catalog, TOAST tables, temporary tables. */
export function isUserSchema(namespace: string): string {
  return `${namespace}.nspname !~ '^pg_' AND ${namespace}.nspname <> 'information_schema'`;
}

/**
 * Leaves out what initdb made, before anything is joined: 3,000 functions and as many columns. What people make has an oid of
 * FirstNormalObjectId or higher (src/include/access/transam.h), in an embedded database too.
 */
export function isMadeLater(oid: string): string {
  return `${oid} >= 16384`;
}

/** Condition on a `pg_namespace` alias. `$1` = the schemas, or NULL for all. */
export function inSchemas(namespace: string): string {
  return `${isUserSchema(namespace)}
  AND ($1::text[] IS NULL OR ${namespace}.nspname = ANY ($1::text[]))`;
}

/** Joins the extension that brought an object along as `extension.extname`. */
export function joinExtension(catalog: string, oid: string): string {
  return `LEFT JOIN pg_catalog.pg_depend AS membership
  ON membership.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND membership.objid = ${oid}
  AND membership.objsubid = 0 AND membership.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension AS extension ON extension.oid = membership.refobjid`;
}

/** Leaves out what extensions brought along, unless it was asked for. `$2` = include them. */
export const EXTENSION_FILTER = "($2::bool OR extension.oid IS NULL)";

/** The same for statements that do not join the extension. */
export function notFromExtension(catalog: string, oid: string): string {
  return `($2::bool OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS membership
    WHERE membership.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND membership.objid = ${oid}
      AND membership.deptype = 'e'))`;
}

/** Leaves out what the server made by itself for another object, e.g. the constructors of a range type. */
export function notInternal(catalog: string, oid: string): string {
  return `NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS maker
    WHERE maker.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND maker.objid = ${oid} AND maker.deptype = 'i')`;
}

/** Joins the comment as `description.description`. */
export function joinComment(catalog: string, oid: string, subId = "0"): string {
  return `LEFT JOIN pg_catalog.pg_description AS description
  ON description.classoid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND description.objoid = ${oid}
  AND description.objsubid = ${subId}`;
}

/** A collation as SQL where it is another one than the type's or column's own, else NULL. */
export function collationUnless(collation: string, own: string): string {
  return `CASE WHEN ${collation} <> 0 AND ${collation} <> ${own} THEN ${collation}::pg_catalog.regcollation::text END`;
}

export function schemaValues(scope: Scope): readonly unknown[] {
  return [scope.schemas ?? null];
}

export function schemaAndExtensionValues(scope: Scope): readonly unknown[] {
  return [scope.schemas ?? null, scope.includeExtensionObjects];
}

/** Rows of a statement, as the shape its SELECT list has. */
export function rowsOf<R>(result: QueryResult): readonly R[] {
  return result.rows as unknown as readonly R[];
}

export function optional<T>(value: T | null): T | undefined {
  return value ?? undefined;
}

/** An object of the snapshot was gone when its definition was to be printed. */
export class GoneMeanwhileError extends InternalError {}

/** What the server prints of an object; NULL means that somebody dropped it after our snapshot was taken. */
export function printed(text: string | null): string {
  if (text === null) throw new GoneMeanwhileError("an object was dropped while the catalog was read");
  return text;
}

/** Groups rows by the relation or type they belong to, keeping their order. */
export function groupByOwner<R, T>(
  rows: readonly R[],
  ownerOf: (row: R) => number,
  toItem: (row: R) => T,
): ReadonlyMap<number, readonly T[]> {
  const groups = new Map<number, T[]>();
  for (const row of rows) {
    const owner = ownerOf(row);
    const group = groups.get(owner);
    if (group === undefined) groups.set(owner, [toItem(row)]);
    else group.push(toItem(row));
  }
  return groups;
}

/** Turns one of PostgreSQL's single letters into a word. */
export function wordOf<const W extends Readonly<Record<string, string>>>(words: W, letter: string): W[keyof W] {
  const word = words[letter];
  // A letter that a newer server added: better to stop than to report a wrong word.
  if (word === undefined) throw new InternalError(`the catalog holds the unknown code ${JSON.stringify(letter)}`);
  return word as W[keyof W];
}

export const FIRING = { O: "origin", D: "disabled", R: "replica", A: "always" } as const;
export const PERSISTENCE = { p: "permanent", u: "unlogged", t: "temporary" } as const;
