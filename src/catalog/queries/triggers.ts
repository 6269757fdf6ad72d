// What hangs on tables and views and acts by itself: triggers, row-security policies, rewrite rules.
import type { Policy, Rule, Trigger } from "../model.ts";
import {
  CATALOG_OIDS,
  FIRING,
  groupByOwner,
  inSchemas,
  joinComment,
  optional,
  printed,
  rowsOf,
  schemaValues,
  wordOf,
  type Part,
  type Scope,
} from "./family.ts";

// Clones on partitions are "internal" on 14 and not on 15 and later; they are told from the internal triggers of foreign
// keys and deferrable unique constraints by the constraint these serve.
const TRIGGERS_SQL = `
SELECT t.tgrelid AS relation, t.tgname AS name,
  pg_catalog.pg_get_triggerdef(t.oid) AS definition,
  fn.nspname AS "functionSchema", f.proname AS "functionName",
  t.tgtype AS type, t.tgenabled AS enabled,
  t.tgparentid = 0 AS "isLocal", t.tgconstraint <> 0 AS "isConstraint",
  ARRAY(
    SELECT a.attname::text
    FROM pg_catalog.unnest(t.tgattr::int2[]) WITH ORDINALITY AS k (number, position)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.tgrelid AND a.attnum = k.number
    ORDER BY k.position) AS "updateColumns",
  description.description AS comment
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace
LEFT JOIN pg_catalog.pg_constraint AS con ON con.oid = t.tgconstraint
${joinComment("pg_trigger", "t.oid")}
WHERE (NOT t.tgisinternal OR (t.tgparentid <> 0 AND t.tgconstrindid = 0))
  AND (con.oid IS NULL OR con.contype = 't')
  AND ${inSchemas("n")}
ORDER BY t.tgrelid, t.tgname`;

interface TriggerRow {
  readonly relation: number;
  readonly name: string;
  readonly definition: string | null;
  readonly functionSchema: string;
  readonly functionName: string;
  readonly type: number;
  readonly enabled: string;
  readonly isLocal: boolean;
  readonly isConstraint: boolean;
  readonly updateColumns: readonly string[];
  readonly comment: string | null;
}

/** By `pg_class.oid`. */
export function triggers(scope: Scope): Part<ReadonlyMap<number, readonly Trigger[]>> {
  return {
    statement: { text: TRIGGERS_SQL, values: schemaValues(scope) },
    map: (result) => groupByOwner(rowsOf<TriggerRow>(result), (row) => row.relation, toTrigger),
  };
}

// Bits of pg_trigger.tgtype (src/include/catalog/pg_trigger.h).
const ROW = 1;
const BEFORE = 2;
const INSTEAD_OF = 64;
const EVENTS = [
  ["insert", 4],
  ["update", 16],
  ["delete", 8],
  ["truncate", 32],
] as const;

function toTrigger({ type, ...row }: TriggerRow): Trigger {
  return {
    name: row.name,
    definition: printed(row.definition),
    functionSchema: row.functionSchema,
    functionName: row.functionName,
    timing: (type & INSTEAD_OF) !== 0 ? "instead of" : (type & BEFORE) !== 0 ? "before" : "after",
    events: EVENTS.filter(([, bit]) => (type & bit) !== 0).map(([event]) => event),
    updateColumns: row.updateColumns,
    level: (type & ROW) !== 0 ? "row" : "statement",
    enabled: wordOf(FIRING, row.enabled),
    isLocal: row.isLocal,
    isConstraint: row.isConstraint,
    comment: optional(row.comment),
  };
}

const POLICIES_SQL = `
SELECT p.oid, p.polrelid AS relation, p.polname AS name, p.polpermissive AS "isPermissive", p.polcmd AS command,
  ARRAY(
    SELECT CASE WHEN r.oid = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(r.oid)::text END COLLATE "C" AS role
    FROM pg_catalog.unnest(p.polroles) AS r (oid)
    ORDER BY role) AS roles,
  pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS using,
  pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS "withCheck",
  description.description AS comment
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
${joinComment("pg_policy", "p.oid")}
WHERE ${inSchemas("n")}
ORDER BY p.polrelid, p.polname`;

interface PolicyRow {
  readonly oid: number;
  readonly relation: number;
  readonly name: string;
  readonly isPermissive: boolean;
  readonly command: string;
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly withCheck: string | null;
  readonly comment: string | null;
}

const POLICY_COMMAND = { "*": "all", r: "select", a: "insert", w: "update", d: "delete" } as const;

/** By `pg_class.oid`. */
export function policies(scope: Scope): Part<ReadonlyMap<number, readonly Policy[]>> {
  return {
    statement: { text: POLICIES_SQL, values: schemaValues(scope) },
    map: (result) =>
      groupByOwner(
        rowsOf<PolicyRow>(result),
        (row) => row.relation,
        (row) => ({
          name: row.name,
          isPermissive: row.isPermissive,
          command: wordOf(POLICY_COMMAND, row.command),
          roles: row.roles,
          using: optional(row.using),
          withCheck: optional(row.withCheck),
          comment: optional(row.comment),
        }),
      ),
    names: (result) =>
      rowsOf<PolicyRow>(result).map(({ oid, relation, name }) => ({
        catalog: CATALOG_OIDS.pg_policy,
        oid,
        kind: "policy",
        relation,
        part: name,
      })),
  };
}

// A view is a rule named _RETURN; only a person's own rules are rules here.
const RULES_SQL = `
SELECT r.ev_class AS relation, r.rulename AS name, pg_catalog.pg_get_ruledef(r.oid) AS definition,
  r.ev_type AS event, r.ev_enabled AS enabled, description.description AS comment
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
${joinComment("pg_rewrite", "r.oid")}
WHERE r.rulename <> '_RETURN'
  AND ${inSchemas("n")}
ORDER BY r.ev_class, r.rulename`;

interface RuleRow {
  readonly relation: number;
  readonly name: string;
  readonly definition: string | null;
  readonly event: string;
  readonly enabled: string;
  readonly comment: string | null;
}

const RULE_EVENT = { "1": "select", "2": "update", "3": "insert", "4": "delete" } as const;

/** By `pg_class.oid`. */
export function rules(scope: Scope): Part<ReadonlyMap<number, readonly Rule[]>> {
  return {
    statement: { text: RULES_SQL, values: schemaValues(scope) },
    map: (result) =>
      groupByOwner(
        rowsOf<RuleRow>(result),
        (row) => row.relation,
        (row) => ({
          name: row.name,
          definition: printed(row.definition),
          event: wordOf(RULE_EVENT, row.event),
          enabled: wordOf(FIRING, row.enabled),
          comment: optional(row.comment),
        }),
      ),
  };
}
