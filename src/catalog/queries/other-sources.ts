// Where the kinds of objects beside tables, views, functions and common types stand in pg_catalog: one source a kind, of which the
// statement that reads them, and their names among the dependencies, are made. Foreign data and replication: see database-sources.ts.
import type { OtherKind } from "../model-others.ts";

export interface Source {
  readonly kind: OtherKind;
  /** Catalog of the objects; its alias is `o`. */
  readonly catalog: string;
  /** Column that holds the schema; without it the object belongs to the database. */
  readonly schema?: string;
  readonly owner?: string;
  readonly name: string;
  /** SQL of what tells objects of one name apart. */
  readonly part?: string;
  readonly condition?: string;
  /** SQL of each fact; those that are NULL are left out. */
  readonly facts: Readonly<Record<string, string>>;
}

export const typeName = (column: string): string => `pg_catalog.format_type(${column}, NULL)`;
/** Name of a function, NULL where there is none. */
export const routineName = (column: string): string => `NULLIF((${column})::oid::pg_catalog.regproc::text, '-')`;
const withArguments = (column: string): string =>
  `CASE WHEN ${column} <> 0 THEN (${column})::oid::pg_catalog.regprocedure::text END`;
/** `schema.name` of a row of another catalog. */
const qualifiedName = (catalog: string, prefix: string, oid: string): string => `(
    SELECT pg_catalog.quote_ident(rn.nspname) || '.' || pg_catalog.quote_ident(r.${prefix}name)
    FROM pg_catalog.${catalog} AS r JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.${prefix}namespace
    WHERE r.oid = ${oid})`;
const operatorName = (oid: string): string => `(
    SELECT pg_catalog.quote_ident(rn.nspname) || '.' || r.oprname
    FROM pg_catalog.pg_operator AS r JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.oprnamespace
    WHERE r.oid = ${oid})`;
const methodName = (oid: string): string => `(SELECT am.amname FROM pg_catalog.pg_am AS am WHERE am.oid = ${oid})`;
const languageName = (oid: string): string =>
  `(SELECT l.lanname FROM pg_catalog.pg_language AS l WHERE l.oid = ${oid})`;
const words = (column: string, meaning: Readonly<Record<string, string>>): string =>
  `CASE ${column}::text ${Object.entries(meaning)
    .map(([letter, word]) => `WHEN '${letter}' THEN '${word}'`)
    .join(" ")} END`;

// Members belong to the class or family that pg_depend ties them to, as pg_dump has it.
const operatorMembers = (catalog: string, where: string): string => `coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
      'strategy', m.amopstrategy, 'operator', m.amopopr::pg_catalog.regoperator::text,
      'left', ${typeName("m.amoplefttype")}, 'right', ${typeName("m.amoprighttype")},
      'orderBy', CASE m.amoppurpose WHEN 'o' THEN ${qualifiedName("pg_opfamily", "opf", "m.amopsortfamily")} END))
      ORDER BY m.amopstrategy, m.amopopr::pg_catalog.regoperator::text COLLATE "C")
    FROM pg_catalog.pg_amop AS m
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_amop'::pg_catalog.regclass AND d.objid = m.oid
      AND d.refclassid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND d.refobjid = o.oid
    WHERE ${where}), '[]')`;
const functionMembers = (catalog: string, where: string): string => `coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'number', m.amprocnum, 'left', ${typeName("m.amproclefttype")}, 'right', ${typeName("m.amprocrighttype")},
      'function', m.amproc::oid::pg_catalog.regprocedure::text)
      ORDER BY m.amprocnum, m.amproc::oid::pg_catalog.regprocedure::text COLLATE "C")
    FROM pg_catalog.pg_amproc AS m
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_amproc'::pg_catalog.regclass AND d.objid = m.oid
      AND d.refclassid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND d.refobjid = o.oid
    WHERE ${where}), '[]')`;

/** A type that is the array of another one is not an object of its own. */
const BASE_TYPE = `(o.typtype = 'b' OR (o.typtype = 'p' AND NOT o.typisdefined))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS element WHERE element.typarray = o.oid)`;
const ifDefined = (sql: string): string => `CASE WHEN o.typisdefined THEN ${sql} END`;

function collation(serverVersion: number): Source {
  const icu = serverVersion >= 170000 ? "o.colllocale" : serverVersion >= 150000 ? "o.colliculocale" : undefined;
  return {
    kind: "collation",
    catalog: "pg_collation",
    schema: "collnamespace",
    owner: "collowner",
    name: "o.collname",
    facts: {
      provider: words("o.collprovider", { c: "libc", i: "icu", b: "builtin", d: "default" }),
      locale: icu ?? "CASE o.collprovider WHEN 'i' THEN o.collcollate END",
      lcCollate: "CASE o.collprovider WHEN 'c' THEN o.collcollate END",
      lcCtype: "CASE o.collprovider WHEN 'c' THEN o.collctype END",
      isDeterministic: "o.collisdeterministic",
      ...(serverVersion >= 160000 ? { rules: "o.collicurules" } : {}),
    },
  };
}

const CONVERSION: Source = {
  kind: "conversion",
  catalog: "pg_conversion",
  schema: "connamespace",
  owner: "conowner",
  name: "o.conname",
  facts: {
    from: "pg_catalog.pg_encoding_to_char(o.conforencoding)",
    to: "pg_catalog.pg_encoding_to_char(o.contoencoding)",
    function: routineName("o.conproc"),
    isDefault: "o.condefault",
  },
};

const CAST: Source = {
  kind: "cast",
  catalog: "pg_cast",
  name: `${typeName("o.castsource")} || ' AS ' || ${typeName("o.casttarget")}`,
  facts: {
    source: typeName("o.castsource"),
    target: typeName("o.casttarget"),
    function: withArguments("o.castfunc"),
    method: words("o.castmethod", { f: "function", i: "inout", b: "binary" }),
    context: words("o.castcontext", { e: "explicit", a: "assignment", i: "implicit" }),
  },
};

const OPERATOR: Source = {
  kind: "operator",
  catalog: "pg_operator",
  schema: "oprnamespace",
  owner: "oprowner",
  name: "o.oprname",
  part: `CASE o.oprleft WHEN 0 THEN 'NONE' ELSE ${typeName("o.oprleft")} END || ', ' || ${typeName("o.oprright")}`,
  // Without a function it is only a name, left by the COMMUTATOR or NEGATOR of another one.
  condition: "o.oprcode <> 0",
  facts: {
    left: `CASE WHEN o.oprleft <> 0 THEN ${typeName("o.oprleft")} END`,
    right: typeName("o.oprright"),
    function: routineName("o.oprcode"),
    commutator: operatorName("o.oprcom"),
    negator: operatorName("o.oprnegate"),
    restrict: routineName("o.oprrest"),
    join: routineName("o.oprjoin"),
    hashes: "o.oprcanhash",
    merges: "o.oprcanmerge",
  },
};

const OPERATOR_FAMILY: Source = {
  kind: "operator family",
  catalog: "pg_opfamily",
  schema: "opfnamespace",
  owner: "opfowner",
  name: "o.opfname",
  part: methodName("o.opfmethod"),
  facts: {
    method: methodName("o.opfmethod"),
    operators: operatorMembers("pg_opfamily", "m.amopfamily = o.oid"),
    functions: functionMembers("pg_opfamily", "m.amprocfamily = o.oid"),
  },
};

const OPERATOR_CLASS: Source = {
  kind: "operator class",
  catalog: "pg_opclass",
  schema: "opcnamespace",
  owner: "opcowner",
  name: "o.opcname",
  part: methodName("o.opcmethod"),
  facts: {
    method: methodName("o.opcmethod"),
    type: typeName("o.opcintype"),
    family: qualifiedName("pg_opfamily", "opf", "o.opcfamily"),
    isDefault: "o.opcdefault",
    storage: `CASE WHEN o.opckeytype <> 0 THEN ${typeName("o.opckeytype")} END`,
    operators: operatorMembers("pg_opclass", "m.amopfamily = o.opcfamily"),
    functions: functionMembers("pg_opclass", "m.amprocfamily = o.opcfamily"),
  },
};

const ACCESS_METHOD: Source = {
  kind: "access method",
  catalog: "pg_am",
  name: "o.amname",
  facts: { type: words("o.amtype", { i: "index", t: "table" }), handler: routineName("o.amhandler") },
};

const LANGUAGE: Source = {
  kind: "language",
  catalog: "pg_language",
  owner: "lanowner",
  name: "o.lanname",
  facts: {
    isTrusted: "o.lanpltrusted",
    handler: routineName("o.lanplcallfoid"),
    inline: routineName("o.laninline"),
    validator: routineName("o.lanvalidator"),
  },
};

const TRANSFORM: Source = {
  kind: "transform",
  catalog: "pg_transform",
  name: typeName("o.trftype"),
  part: languageName("o.trflang"),
  facts: {
    language: languageName("o.trflang"),
    fromSql: withArguments("o.trffromsql"),
    toSql: withArguments("o.trftosql"),
  },
};

const BASE: Source = {
  kind: "base type",
  catalog: "pg_type",
  schema: "typnamespace",
  owner: "typowner",
  name: "o.typname",
  condition: BASE_TYPE,
  facts: {
    isDefined: "o.typisdefined",
    input: ifDefined(routineName("o.typinput")),
    output: ifDefined(routineName("o.typoutput")),
    receive: ifDefined(routineName("o.typreceive")),
    send: ifDefined(routineName("o.typsend")),
    modifierInput: ifDefined(routineName("o.typmodin")),
    modifierOutput: ifDefined(routineName("o.typmodout")),
    analyze: ifDefined(routineName("o.typanalyze")),
    subscript: ifDefined(routineName("o.typsubscript")),
    length: ifDefined("o.typlen"),
    isPassedByValue: ifDefined("o.typbyval"),
    alignment: ifDefined(words("o.typalign", { c: "char", s: "int2", i: "int4", d: "double" })),
    storage: ifDefined(words("o.typstorage", { p: "plain", e: "external", x: "extended", m: "main" })),
    category: ifDefined("o.typcategory::text"),
    isPreferred: ifDefined("o.typispreferred"),
    default: ifDefined("o.typdefault"),
    element: ifDefined(`CASE WHEN o.typelem <> 0 THEN ${typeName("o.typelem")} END`),
    delimiter: ifDefined("o.typdelim::text"),
    isCollatable: ifDefined("o.typcollation <> 0"),
  },
};

const TEXT_SEARCH: readonly Source[] = [
  {
    kind: "text search parser",
    catalog: "pg_ts_parser",
    schema: "prsnamespace",
    name: "o.prsname",
    facts: {
      start: routineName("o.prsstart"),
      token: routineName("o.prstoken"),
      end: routineName("o.prsend"),
      headline: routineName("o.prsheadline"),
      lexemeTypes: routineName("o.prslextype"),
    },
  },
  {
    kind: "text search template",
    catalog: "pg_ts_template",
    schema: "tmplnamespace",
    name: "o.tmplname",
    facts: { init: routineName("o.tmplinit"), lexize: routineName("o.tmpllexize") },
  },
  {
    kind: "text search dictionary",
    catalog: "pg_ts_dict",
    schema: "dictnamespace",
    owner: "dictowner",
    name: "o.dictname",
    facts: {
      template: qualifiedName("pg_ts_template", "tmpl", "o.dicttemplate"),
      options: "o.dictinitoption",
    },
  },
  {
    kind: "text search configuration",
    catalog: "pg_ts_config",
    schema: "cfgnamespace",
    owner: "cfgowner",
    name: "o.cfgname",
    facts: {
      parser: qualifiedName("pg_ts_parser", "prs", "o.cfgparser"),
      mappings: `coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.json_build_object('token', m.token, 'dictionaries', m.dictionaries) ORDER BY m.tokid)
    FROM (
      SELECT t.tokid, t.alias AS token, pg_catalog.json_agg(
        ${qualifiedName("pg_ts_dict", "dict", "map.mapdict")} ORDER BY map.mapseqno) AS dictionaries
      FROM pg_catalog.pg_ts_config_map AS map
      JOIN pg_catalog.ts_token_type(o.cfgparser) AS t ON t.tokid = map.maptokentype
      WHERE map.mapcfg = o.oid
      GROUP BY t.tokid, t.alias
    ) AS m), '[]')`,
    },
  },
];

/** Those that a schema, or the database itself, can have. */
export function programmingSources(serverVersion: number): readonly Source[] {
  return [
    collation(serverVersion),
    CONVERSION,
    CAST,
    OPERATOR,
    OPERATOR_FAMILY,
    OPERATOR_CLASS,
    ACCESS_METHOD,
    LANGUAGE,
    TRANSFORM,
    BASE,
    ...TEXT_SEARCH,
  ];
}
