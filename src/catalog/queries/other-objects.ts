// One statement for all kinds of objects beside tables, views, functions and common types; and the names of their parts.
import type { OtherKind, OtherLists, OtherObjects } from "../model-others.ts";
import { databaseSources, USER_MAPPINGS_SQL } from "./database-sources.ts";
import {
  inSchemas,
  notFromExtension,
  optional,
  rowsOf,
  schemaAndExtensionValues,
  type Part,
  type Scope,
} from "./family.ts";
import { programmingSources, type Source } from "./other-sources.ts";

/** Objects below this oid were made by initdb (FirstNormalObjectId). */
export const FIRST_USER_OID = 16384;

const LISTS: { readonly [K in OtherKind]: keyof OtherLists } = {
  collation: "collations",
  conversion: "conversions",
  cast: "casts",
  operator: "operators",
  "operator family": "operatorFamilies",
  "operator class": "operatorClasses",
  "access method": "accessMethods",
  language: "languages",
  transform: "transforms",
  "base type": "baseTypes",
  "text search parser": "textSearchParsers",
  "text search template": "textSearchTemplates",
  "text search dictionary": "textSearchDictionaries",
  "text search configuration": "textSearchConfigurations",
  "foreign data wrapper": "foreignDataWrappers",
  "foreign server": "foreignServers",
  "user mapping": "userMappings",
  publication: "publications",
  subscription: "subscriptions",
};

function sourcesOf(serverVersion: number): readonly Source[] {
  return [...programmingSources(serverVersion), ...databaseSources(serverVersion)];
}

function fromClause({ catalog, schema, condition }: Source): string {
  return `FROM pg_catalog.${catalog} AS o
${schema === undefined ? "" : `JOIN pg_catalog.pg_namespace AS n ON n.oid = o.${schema}`}
WHERE o.oid >= ${FIRST_USER_OID}
  ${schema === undefined ? "" : `AND ${inSchemas("n")}`}
  ${condition === undefined ? "" : `AND ${condition}`}`;
}

function sourceSql(source: Source): string {
  const { kind, catalog, schema, owner, name, part, facts } = source;
  const written = Object.entries(facts).map(([fact, sql]) => `'${fact}', ${sql}`);
  return `
SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass::oid AS class, o.oid, '${kind}' AS kind,
  ${schema === undefined ? "NULL" : "n.nspname"}::text AS schema, (${name})::text AS name,
  ${part === undefined ? "NULL" : `(${part})`}::text AS part, ${owner === undefined ? "NULL" : `o.${owner}`}::oid AS owner,
  pg_catalog.json_strip_nulls(pg_catalog.json_build_object(${written.join(",\n    ")})) AS facts
${fromClause(source)}
  AND ${notFromExtension(catalog, "o.oid")}`;
}

// What is asked of every kind is asked once, over all of them, which is planned in a fraction of the time. Members of extensions are
// left out before their facts are gathered: there may be hundreds.
function allSql(branches: readonly string[]): string {
  return `
SELECT o.class AS catalog, o.oid, o.kind, o.schema, o.name, o.part, pg_catalog.pg_get_userbyid(o.owner) AS owner, o.facts,
  description.description AS comment, extension.extname AS extension
FROM (${branches.join("\nUNION ALL")}) AS o
LEFT JOIN pg_catalog.pg_description AS description
  ON description.classoid = o.class AND description.objoid = o.oid AND description.objsubid = 0
LEFT JOIN pg_catalog.pg_depend AS membership
  ON membership.classid = o.class AND membership.objid = o.oid AND membership.objsubid = 0 AND membership.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension AS extension ON extension.oid = membership.refobjid
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend AS maker
    WHERE maker.classid = o.class AND maker.objid = o.oid AND maker.deptype = 'i')
ORDER BY o.kind, o.schema COLLATE "C" NULLS FIRST, o.name COLLATE "C", o.part COLLATE "C"`;
}

interface OtherRow {
  readonly catalog: number;
  readonly oid: number;
  readonly kind: OtherKind;
  readonly schema: string | null;
  readonly name: string;
  readonly part: string | null;
  readonly owner: string | null;
  readonly comment: string | null;
  readonly extension: string | null;
  readonly facts: object;
}

export type OthersRead = Omit<OtherLists, "securityLabels" | "settings">;

/** Those of the chosen schemas, and those that belong to the database. */
export function otherObjects(scope: Scope): Part<OthersRead> {
  const branches = [...sourcesOf(scope.serverVersion).map(sourceSql), USER_MAPPINGS_SQL];
  return {
    statement: { text: allSql(branches), values: schemaAndExtensionValues(scope) },
    map: (result) => {
      const lists = new Map<string, unknown[]>(Object.values(LISTS).map((list) => [list, []]));
      for (const row of rowsOf<OtherRow>(result)) lists.get(LISTS[row.kind])?.push(toObject(row));
      return Object.fromEntries(lists) as unknown as OthersRead;
    },
    // Types are named elsewhere, for all kinds of them; what extensions brought has no dependencies of its own.
    names: (result) =>
      rowsOf<OtherRow>(result).flatMap(({ catalog, oid, kind, schema, name, part, extension }) =>
        kind === "base type" || extension !== null
          ? []
          : [{ catalog, oid, kind, schema: optional(schema), name, part: optional(part) }],
      ),
  };
}

function toObject({ schema, name, owner, comment, extension, facts }: OtherRow): OtherObjects[OtherKind] {
  const item = {
    ...(schema === null ? {} : { schema }),
    name,
    ...(owner === null ? {} : { owner }),
    comment: optional(comment),
    extension: optional(extension),
    ...facts,
  };
  return item as unknown as OtherObjects[OtherKind];
}

/**
 * Parts of those objects that have dependencies of their own, under the object's name: members of operator classes and families, of
 * publications. Columns: catalog, oid, kind, relation, schema, name, part.
 */
export function memberNames(serverVersion: number): readonly string[] {
  return [
    operatorMember("pg_amop", "amopfamily"),
    operatorMember("pg_amproc", "amprocfamily"),
    `SELECT 'pg_catalog.pg_publication_rel'::pg_catalog.regclass, o.oid, 'publication table', NULL, NULL, p.pubname,
  tn.nspname || '.' || t.relname
FROM pg_catalog.pg_publication_rel AS o
JOIN pg_catalog.pg_publication AS p ON p.oid = o.prpubid
JOIN pg_catalog.pg_class AS t ON t.oid = o.prrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace`,
    ...(serverVersion >= 150000
      ? [
          `SELECT 'pg_catalog.pg_publication_namespace'::pg_catalog.regclass, o.oid, 'publication schema', NULL, NULL, p.pubname, pn.nspname
FROM pg_catalog.pg_publication_namespace AS o
JOIN pg_catalog.pg_publication AS p ON p.oid = o.pnpubid
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = o.pnnspid`,
        ]
      : []),
  ];
}

function operatorMember(catalog: string, family: string): string {
  return `SELECT 'pg_catalog.${catalog}'::pg_catalog.regclass, o.oid,
  CASE WHEN c.oid IS NULL THEN 'operator family' ELSE 'operator class' END, NULL, n.nspname, coalesce(c.opcname, f.opfname), am.amname
FROM pg_catalog.${catalog} AS o
JOIN pg_catalog.pg_opfamily AS f ON f.oid = o.${family}
JOIN pg_catalog.pg_am AS am ON am.oid = f.opfmethod
LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND d.objid = o.oid
  AND d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_opclass AS c ON c.oid = d.refobjid
JOIN pg_catalog.pg_namespace AS n ON n.oid = coalesce(c.opcnamespace, f.opfnamespace)
WHERE o.oid >= ${FIRST_USER_OID}
  AND ${notMember("pg_opfamily", "f.oid")}`;
}

/** What extensions brought has no dependencies of its own here: the extension stands for it. */
function notMember(catalog: string, oid: string): string {
  return `NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend AS membership
      WHERE membership.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND membership.objid = ${oid}
        AND membership.deptype = 'e')`;
}
