// Whether a column's default is computed once for all rows (constant or STABLE: no rewrite) or for each row (VOLATILE: rewrite).
import type { BatchState } from "./batch-state.ts";
import { nameOfParts, stringsOf, walk, type Node } from "./syntax.ts";

/** Built-in functions people put into defaults that are IMMUTABLE or STABLE (pg_proc.provolatile, the same in 14 to 18). */
const STEADY_FUNCTIONS = new Set(
  `now transaction_timestamp statement_timestamp current_setting current_database current_schema current_schemas
  current_user session_user user pg_backend_pid txid_current pg_current_xact_id inet_client_addr version timezone
  date_trunc date_part extract age to_char to_date to_timestamp to_number make_date make_time make_timestamp make_timestamptz
  make_interval justify_days justify_hours justify_interval
  lower upper initcap trim btrim ltrim rtrim lpad rpad length char_length octet_length left right substr substring replace
  repeat reverse concat concat_ws format split_part translate strpos position overlay md5 sha224 sha256 sha384 sha512
  encode decode convert_to convert_from chr ascii quote_ident quote_literal to_hex regexp_replace regexp_match starts_with
  abs ceil ceiling floor round trunc sign sqrt power mod div exp ln log greatest least
  to_json to_jsonb json_build_object jsonb_build_object json_build_array jsonb_build_array json_object jsonb_object row_to_json
  array_fill array_append array_prepend array_cat array_length string_to_array array_to_string cardinality
  to_tsvector to_tsquery plainto_tsquery setweight int4range int8range numrange daterange tsrange tstzrange
  uuid_nil uuid_ns_dns uuid_ns_url box point circle int4 int8 text numeric float8 bool date timestamp timestamptz
  xmlparse hstore inet cidr host network enum_first enum_last`
    .split(/\s+/)
    .filter((name) => name !== ""),
);

const SESSION_FUNCTIONS: ReadonlySet<string> = new Set(
  "now transaction_timestamp statement_timestamp clock_timestamp timeofday random gen_random_uuid current_setting current_database current_schema".split(
    " ",
  ),
);

/** The first function of the expression that is known to be STABLE or VOLATILE. */
export function changingFunctionIn(expression: unknown, state: BatchState): string | undefined {
  let found: string | undefined;
  walk([expression], (kind, node) => {
    if (kind === "SQLValueFunction")
      found ??= String(node["op"])
        .replace(/^SVFOP_/, "")
        .toLowerCase();
    if (kind !== "FuncCall") return;
    const { name } = nameOfParts(stringsOf(node, "funcname"));
    const known = state.functions.get(name);
    if (known === undefined ? SESSION_FUNCTIONS.has(name) : known !== "immutable") found ??= name;
  });
  return found;
}

/** The first function of the expression that is, or must be taken for, VOLATILE; `undefined` when the value is the same for every row. */
export function volatileFunctionIn(expression: unknown, state: BatchState): string | undefined {
  let found: string | undefined;
  const look = (kind: string, node: Node): void => {
    if (kind !== "FuncCall" || found !== undefined) return;
    const { schema, name } = nameOfParts(stringsOf(node, "funcname"));
    const known = schema === "pg_catalog" ? undefined : state.functions.get(name);
    // A function nobody knows is VOLATILE, as CREATE FUNCTION makes it.
    if (known === undefined ? !STEADY_FUNCTIONS.has(name) : known === "volatile") found = name;
  };
  walk([expression], look);
  return found;
}
