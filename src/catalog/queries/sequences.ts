// Sequences, those of serial and identity columns included.
import type { Sequence } from "../model.ts";
import {
  CATALOG_OIDS,
  EXTENSION_FILTER,
  inSchemas,
  joinComment,
  joinExtension,
  optional,
  PERSISTENCE,
  rowsOf,
  schemaAndExtensionValues,
  wordOf,
  type Part,
  type Scope,
} from "./family.ts";

// pg_sequence_last_value raises an error without the right to read, and on a replica for an unlogged sequence.
const SEQUENCES_SQL = `
SELECT c.oid, n.nspname AS schema, c.relname AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
  description.description AS comment, extension.extname AS extension,
  c.relpersistence AS persistence,
  pg_catalog.format_type(s.seqtypid, NULL) AS type,
  s.seqstart::text AS start, s.seqincrement::text AS increment, s.seqmin::text AS minimum, s.seqmax::text AS maximum,
  s.seqcache::text AS cache, s.seqcycle AS cycles,
  r.readable AS "isLastValueReadable",
  CASE WHEN r.readable THEN pg_catalog.pg_sequence_last_value(c.oid)::text END AS "lastValue",
  tn.nspname AS "tableSchema", tc.relname AS "table", a.attname AS "column", d.deptype = 'i' AS "isIdentity"
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE')
    AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
) AS r (readable)
LEFT JOIN pg_catalog.pg_depend AS d
  ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_catalog.pg_class AS tc ON tc.oid = d.refobjid
LEFT JOIN pg_catalog.pg_namespace AS tn ON tn.oid = tc.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
${joinComment("pg_class", "c.oid")}
${joinExtension("pg_class", "c.oid")}
WHERE ${inSchemas("n")}
  AND ${EXTENSION_FILTER}
ORDER BY n.nspname, c.relname`;

interface SequenceRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly comment: string | null;
  readonly extension: string | null;
  readonly persistence: string;
  readonly type: string;
  readonly start: string;
  readonly increment: string;
  readonly minimum: string;
  readonly maximum: string;
  readonly cache: string;
  readonly cycles: boolean;
  readonly isLastValueReadable: boolean;
  readonly lastValue: string | null;
  readonly tableSchema: string | null;
  readonly table: string | null;
  readonly column: string | null;
  readonly isIdentity: boolean | null;
}

export function sequences(scope: Scope): Part<readonly Sequence[]> {
  return {
    statement: { text: SEQUENCES_SQL, values: schemaAndExtensionValues(scope) },
    map: (result) => rowsOf<SequenceRow>(result).map(toSequence),
    names: (result) =>
      rowsOf<SequenceRow>(result).map(({ oid, schema, name }) => ({
        catalog: CATALOG_OIDS.pg_class,
        oid,
        kind: "sequence",
        schema,
        name,
      })),
  };
}

function toSequence(row: SequenceRow): Sequence {
  return {
    schema: row.schema,
    name: row.name,
    owner: row.owner,
    comment: optional(row.comment),
    extension: optional(row.extension),
    persistence: wordOf(PERSISTENCE, row.persistence),
    type: row.type,
    start: row.start,
    increment: row.increment,
    minimum: row.minimum,
    maximum: row.maximum,
    cache: row.cache,
    cycles: row.cycles,
    isLastValueReadable: row.isLastValueReadable,
    lastValue: optional(row.lastValue),
    ownedBy:
      row.tableSchema === null || row.table === null || row.column === null
        ? undefined
        : { schema: row.tableSchema, table: row.table, column: row.column, isIdentity: row.isIdentity === true },
  };
}
