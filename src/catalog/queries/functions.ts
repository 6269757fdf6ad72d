// Functions, procedures, window functions and aggregates.
import type { Aggregate } from "../aggregate.ts";
import type { Function } from "../model.ts";
import {
  CATALOG_OIDS,
  EXTENSION_FILTER,
  inSchemas,
  isMadeLater,
  joinComment,
  joinExtension,
  notInternal,
  optional,
  printed,
  rowsOf,
  schemaAndExtensionValues,
  wordOf,
  type Part,
  type Scope,
} from "./family.ts";

/** A function of an aggregate as SQL; 0 (printed `-`) means there is none. */
const aggregateFunction = (column: string): string => `NULLIF(a.${column}::text, '-') AS "${column}"`;

// pg_get_functiondef refuses aggregates.
const FUNCTIONS_SQL = `
SELECT p.oid, n.nspname AS schema, p.proname AS name, pg_catalog.pg_get_userbyid(p.proowner) AS owner,
  description.description AS comment, extension.extname AS extension,
  p.prokind AS kind,
  pg_catalog.pg_get_function_identity_arguments(p.oid) COLLATE "C" AS arguments,
  pg_catalog.pg_get_function_result(p.oid) AS returns,
  l.lanname AS language, p.provolatile AS volatility,
  p.prosecdef AS "isSecurityDefiner", p.proisstrict AS "isStrict", p.proleakproof AS "isLeakproof",
  p.proparallel AS parallel, p.proconfig AS settings,
  CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END AS definition,
  a.aggkind,
  ${["aggtransfn", "aggfinalfn", "aggcombinefn", "aggserialfn", "aggdeserialfn", "aggmtransfn", "aggminvtransfn", "aggmfinalfn"].map(aggregateFunction).join(",\n  ")},
  pg_catalog.format_type(a.aggtranstype, NULL) AS "stateType", a.aggtransspace, a.agginitval,
  a.aggfinalextra, a.aggfinalmodify,
  CASE WHEN a.aggsortop <> 0 THEN a.aggsortop::pg_catalog.regoper::text END AS "sortOperator",
  CASE WHEN a.aggmtranstype <> 0 THEN pg_catalog.format_type(a.aggmtranstype, NULL) END AS "movingStateType",
  a.aggmtransspace, a.aggminitval, a.aggmfinalextra, a.aggmfinalmodify
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_aggregate AS a ON a.aggfnoid = p.oid
${joinComment("pg_proc", "p.oid")}
${joinExtension("pg_proc", "p.oid")}
WHERE ${inSchemas("n")}
  AND ${isMadeLater("p.oid")}
  AND ${EXTENSION_FILTER}
  AND ${notInternal("pg_proc", "p.oid")}
ORDER BY n.nspname, p.proname, arguments`;

interface FunctionRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly comment: string | null;
  readonly extension: string | null;
  readonly kind: string;
  readonly arguments: string;
  readonly returns: string | null;
  readonly language: string;
  readonly volatility: string;
  readonly isSecurityDefiner: boolean;
  readonly isStrict: boolean;
  readonly isLeakproof: boolean;
  readonly parallel: string;
  readonly settings: readonly string[] | null;
  readonly definition: string | null;
  readonly aggkind: string | null;
  readonly aggtransfn: string | null;
  readonly aggfinalfn: string | null;
  readonly aggcombinefn: string | null;
  readonly aggserialfn: string | null;
  readonly aggdeserialfn: string | null;
  readonly aggmtransfn: string | null;
  readonly aggminvtransfn: string | null;
  readonly aggmfinalfn: string | null;
  readonly stateType: string | null;
  readonly aggtransspace: number;
  readonly agginitval: string | null;
  readonly aggfinalextra: boolean;
  readonly aggfinalmodify: string;
  readonly sortOperator: string | null;
  readonly movingStateType: string | null;
  readonly aggmtransspace: number;
  readonly aggminitval: string | null;
  readonly aggmfinalextra: boolean;
  readonly aggmfinalmodify: string;
}

const KIND = { f: "function", p: "procedure", a: "aggregate", w: "window" } as const;
const VOLATILITY = { i: "immutable", s: "stable", v: "volatile" } as const;
const PARALLEL = { s: "safe", r: "restricted", u: "unsafe" } as const;
const AGGREGATE_KIND = { n: "normal", o: "ordered set", h: "hypothetical set" } as const;
const FINAL_MODIFY = { r: "read only", s: "shareable", w: "read write" } as const;

export function functions(scope: Scope): Part<readonly Function[]> {
  return {
    statement: { text: FUNCTIONS_SQL, values: schemaAndExtensionValues(scope) },
    map: (result) =>
      rowsOf<FunctionRow>(result).map((row) => ({
        schema: row.schema,
        name: row.name,
        owner: row.owner,
        comment: optional(row.comment),
        extension: optional(row.extension),
        kind: wordOf(KIND, row.kind),
        arguments: row.arguments,
        returns: optional(row.returns),
        language: row.language,
        volatility: wordOf(VOLATILITY, row.volatility),
        isSecurityDefiner: row.isSecurityDefiner,
        isStrict: row.isStrict,
        isLeakproof: row.isLeakproof,
        parallel: wordOf(PARALLEL, row.parallel),
        settings: row.settings ?? [],
        definition: row.kind === "a" ? undefined : printed(row.definition),
        aggregate: row.aggkind === null ? undefined : toAggregate(row, row.aggkind),
      })),
    names: (result) =>
      rowsOf<FunctionRow>(result).map(({ oid, schema, name, arguments: part }) => ({
        catalog: CATALOG_OIDS.pg_proc,
        oid,
        kind: "function",
        schema,
        name,
        part,
      })),
  };
}

function toAggregate(row: FunctionRow, kind: string): Aggregate {
  return {
    kind: wordOf(AGGREGATE_KIND, kind),
    transitionFunction: row.aggtransfn ?? "",
    stateType: row.stateType ?? "",
    stateSpace: row.aggtransspace,
    initialValue: optional(row.agginitval),
    finalFunction: optional(row.aggfinalfn),
    finalTakesExtraArguments: row.aggfinalextra,
    finalModify: wordOf(FINAL_MODIFY, row.aggfinalmodify),
    combineFunction: optional(row.aggcombinefn),
    serializeFunction: optional(row.aggserialfn),
    deserializeFunction: optional(row.aggdeserialfn),
    sortOperator: optional(row.sortOperator),
    moving:
      row.movingStateType === null
        ? undefined
        : {
            transitionFunction: row.aggmtransfn ?? "",
            inverseFunction: row.aggminvtransfn ?? "",
            stateType: row.movingStateType,
            stateSpace: row.aggmtransspace,
            initialValue: optional(row.aggminitval),
            finalFunction: optional(row.aggmfinalfn),
            finalTakesExtraArguments: row.aggmfinalextra,
            finalModify: wordOf(FINAL_MODIFY, row.aggmfinalmodify),
          },
  };
}
