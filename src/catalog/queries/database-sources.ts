// Foreign data and replication in pg_catalog. They hold passwords, so values of options are masked by the server before they are
// sent: this program never sees them.
import { MASKED } from "../masked.ts";
import { routineName, type Source } from "./other-sources.ts";

/** Names of options whose values are taken for secrets, whichever wrapper they are for. */
const SECRET = "pass(word|wd|phrase)?$|secret|token|api_?key|access_?key|private_?key|credential|passcode|pwd";

function masked(options: string, condition: string): string {
  return `(
    SELECT pg_catalog.array_agg(CASE WHEN ${condition}
      THEN pg_catalog.split_part(option, '=', 1) || '=${MASKED}' ELSE option END ORDER BY position)
    FROM pg_catalog.unnest(${options}) WITH ORDINALITY AS listed (option, position))`;
}

/** Options with the values of secrets masked; NULL where there are none. */
export function maskedOptions(options: string): string {
  return masked(options, `pg_catalog.split_part(option, '=', 1) ~* '${SECRET}'`);
}

const FOREIGN_DATA: readonly Source[] = [
  {
    kind: "foreign data wrapper",
    catalog: "pg_foreign_data_wrapper",
    owner: "fdwowner",
    name: "o.fdwname",
    facts: {
      handler: routineName("o.fdwhandler"),
      validator: routineName("o.fdwvalidator"),
      options: `coalesce(${maskedOptions("o.fdwoptions")}, '{}')`,
    },
  },
  {
    kind: "foreign server",
    catalog: "pg_foreign_server",
    owner: "srvowner",
    name: "o.srvname",
    facts: {
      wrapper: "(SELECT w.fdwname FROM pg_catalog.pg_foreign_data_wrapper AS w WHERE w.oid = o.srvfdw)",
      type: "o.srvtype",
      version: "o.srvversion",
      options: `coalesce(${maskedOptions("o.srvoptions")}, '{}')`,
    },
  },
];

// The base table is the superuser's; the view shows names to everybody, and options to those who may see them, whom it shows NULL
// too where there are none. Whether a password is required decides who may use the mapping, and the name of the remote user as whom
// it acts: neither is a secret.
const NO_SECRET = "^(password_required|user|user_?name)$";
const MAY_SEE_OPTIONS = `(SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
      OR CASE WHEN m.umuser = 0 THEN pg_catalog.pg_has_role(s.srvowner, 'USAGE')
        ELSE m.usename = current_user AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE')
          OR pg_catalog.has_server_privilege(s.oid, 'USAGE')) END`;
export const USER_MAPPINGS_SQL = `
SELECT 'pg_catalog.pg_user_mapping'::pg_catalog.regclass::oid, m.umid, 'user mapping', NULL, m.srvname::text,
  CASE m.umuser WHEN 0 THEN 'public' ELSE m.usename::text END, NULL::oid,
  pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'user', CASE m.umuser WHEN 0 THEN 'public' ELSE m.usename::text END,
    'options', coalesce(${masked("m.umoptions", `pg_catalog.split_part(option, '=', 1) !~ '${NO_SECRET}'`)},
      CASE WHEN ${MAY_SEE_OPTIONS} THEN '{}'::pg_catalog.text[] END))) AS facts
FROM pg_catalog.pg_user_mappings AS m
JOIN pg_catalog.pg_foreign_server AS s ON s.oid = m.srvid`;

function publication(serverVersion: number): Source {
  const withLists = serverVersion >= 150000;
  return {
    kind: "publication",
    catalog: "pg_publication",
    owner: "pubowner",
    name: "o.pubname",
    facts: {
      allTables: "o.puballtables",
      tables: `coalesce((
    SELECT pg_catalog.json_agg(pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
      'schema', tn.nspname, 'name', t.relname,
      'columns', ${
        withLists
          ? `(
        SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[]))`
          : "NULL"
      },
      'where', ${withLists ? "pg_catalog.pg_get_expr(r.prqual, r.prrelid)" : "NULL"})) ORDER BY tn.nspname, t.relname)
    FROM pg_catalog.pg_publication_rel AS r
    JOIN pg_catalog.pg_class AS t ON t.oid = r.prrelid
    JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
    WHERE r.prpubid = o.oid), '[]')`,
      schemas: withLists
        ? `coalesce((
    SELECT pg_catalog.json_agg(pn.nspname ORDER BY pn.nspname)
    FROM pg_catalog.pg_publication_namespace AS p JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.pnnspid
    WHERE p.pnpubid = o.oid), '[]')`
        : "'[]'::json",
      publishes: `pg_catalog.array_remove(ARRAY[CASE WHEN o.pubinsert THEN 'insert' END, CASE WHEN o.pubupdate THEN 'update' END,
      CASE WHEN o.pubdelete THEN 'delete' END, CASE WHEN o.pubtruncate THEN 'truncate' END], NULL)`,
      viaRoot: "o.pubviaroot",
      ...(serverVersion >= 180000
        ? { generatedColumns: "CASE o.pubgencols WHEN 's' THEN 'stored' ELSE 'none' END" }
        : {}),
    },
  };
}

function subscription(serverVersion: number): Source {
  return {
    kind: "subscription",
    catalog: "pg_subscription",
    owner: "subowner",
    name: "o.subname",
    condition:
      "o.subdbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())",
    facts: {
      isEnabled: "o.subenabled",
      slotName: "o.subslotname",
      publications: "o.subpublications",
      isBinary: "o.subbinary",
      streaming:
        serverVersion >= 160000
          ? "CASE o.substream WHEN 't' THEN 'on' WHEN 'p' THEN 'parallel' ELSE 'off' END"
          : "CASE WHEN o.substream THEN 'on' ELSE 'off' END",
      synchronousCommit: "o.subsynccommit",
      ...(serverVersion >= 150000
        ? { twoPhase: "o.subtwophasestate <> 'd'", disableOnError: "o.subdisableonerr" }
        : {}),
      ...(serverVersion >= 160000
        ? { passwordRequired: "o.subpasswordrequired", runAsOwner: "o.subrunasowner", origin: "o.suborigin" }
        : {}),
      ...(serverVersion >= 170000 ? { failover: "o.subfailover" } : {}),
    },
  };
}

export function databaseSources(serverVersion: number): readonly Source[] {
  return [...FOREIGN_DATA, publication(serverVersion), subscription(serverVersion)];
}
