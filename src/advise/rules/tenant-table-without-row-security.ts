// Tenant tables whose rows are not guarded by row-level security; also partitions that can be read past their parent's policies.
import type { Catalog, Column, Grant, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { tenantPredicate } from "../expressions.ts";
import { count, takeName, keyOf, listNames, nameOf, partitionsOf, sqlNameOf, tenantTables } from "../objects.ts";
import { defineRule, type RuleSettings } from "../rule.ts";

export const tenantTableWithoutRowSecurity = defineRule({
  id: "tenant-table-without-row-security",
  title: "Tenant table without row-level security",
  severity: "error",
  why: "One query that forgets its tenant condition shows or changes the rows of every tenant. Row-level security makes the database refuse that.",
  examines: "tenant tables",
  check(catalog, settings) {
    const tables = tenantTables(catalog, settings.tenantColumn);
    const partitions = partitionsOf(catalog);
    const granted = grantedTables(catalog);
    return {
      examined: tables.length,
      findings: tables.flatMap(({ table, column }) => {
        const subject = { kind: "table" as const, schema: table.schema, name: table.name };
        if (!table.rowSecurity.enabled) {
          return [
            {
              subject,
              columns: [column.name],
              message: `${nameOf(table)} has the tenant column ${column.name}, but row-level security is off.`,
              examined: `row-level security and the ${count(table.policies.length, "policy", "policies")} of ${nameOf(table)}`,
              fix: fixFor(table, column, settings),
            },
          ];
        }
        // Policies of the parent do not hold for a query that names the partition, so a right on the partition goes past them.
        const open = partitionsBelow(catalog, table, partitions).filter(
          (partition) => !partition.rowSecurity.enabled && granted.has(keyOf(partition.schema, partition.name)),
        );
        if (open.length === 0) return [];
        return [
          {
            subject,
            columns: [column.name],
            message: `Row-level security of ${nameOf(table)} does not hold for ${count(open.length, "partition")} that roles may use directly: ${listNames(
              open.map((partition) => partition.name),
              3,
            )}.`,
            examined: `row-level security and grants of the partitions of ${nameOf(table)}`,
            fix: {
              description:
                "Turn row-level security on for these partitions. Without a policy of their own they then give no rows when named directly; queries on the parent see no difference.",
              sql: open
                .map(
                  (partition) =>
                    `ALTER TABLE ${sqlNameOf(partition)} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;`,
                )
                .join("\n"),
            },
          },
        ];
      }),
    };
  },
});

function partitionsBelow(catalog: Catalog, table: Table, partitions: ReturnType<typeof partitionsOf>): Table[] {
  return catalog.tables.filter((candidate) => {
    for (let parent = partitions.parentOf(candidate); parent !== undefined; parent = partitions.parentOf(parent))
      if (parent === table) return true;
    return false;
  });
}

/** Tables on which a role other than the owner may read or write rows. */
function grantedTables(catalog: Catalog): ReadonlySet<string> {
  const owners = new Map(catalog.tables.map((table) => [keyOf(table.schema, table.name), table.owner]));
  const opens = (grant: Grant): boolean =>
    grant.privileges.some((privilege) => ["SELECT", "INSERT", "UPDATE", "DELETE"].includes(privilege));
  const granted = new Set<string>();
  for (const grant of catalog.grants) {
    if (grant.objectKind !== "table" || grant.schema === undefined || !opens(grant)) continue;
    const key = keyOf(grant.schema, grant.object);
    if (owners.has(key) && owners.get(key) !== grant.grantee) granted.add(key);
  }
  return granted;
}

function fixFor(table: Table, column: Column, settings: RuleSettings): { description: string; sql: string } {
  const target = sqlNameOf(table);
  const enable = `ALTER TABLE ${target} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;`;
  if (table.policies.length > 0) {
    return {
      description: "The table has policies already: turn row-level security on, for the owner too, after reading them.",
      sql: enable,
    };
  }
  const predicate = tenantPredicate(column, settings.tenantSetting);
  const taken = new Set<string>();
  return {
    description: `Turn row-level security on, for the owner too, with a restrictive policy for the tenant and a permissive one that lets rows through (replace that one by finer ones at will). Afterwards each transaction must set ${settings.tenantSetting}.`,
    sql: [
      `CREATE POLICY ${identifier(takeName(`${table.name}_tenant`, taken))} ON ${target} AS RESTRICTIVE FOR ALL TO PUBLIC\n  USING (${predicate})\n  WITH CHECK (${predicate});`,
      `CREATE POLICY ${identifier(takeName(`${table.name}_access`, taken))} ON ${target} AS PERMISSIVE FOR ALL TO PUBLIC USING (true) WITH CHECK (true);`,
      enable,
    ].join("\n"),
  };
}
