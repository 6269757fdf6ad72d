// Foreign keys between tenant tables that do not hold the tenant on both sides.
import type { Catalog, Column, Constraint, Table } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { isSameSet } from "../index-comparison.ts";
import {
  columnList,
  columnOf,
  foreignKeysOf,
  freeName,
  keyOf,
  nameOf,
  relationNames,
  sqlNameOf,
  tenantTables,
} from "../objects.ts";
import { defineRule, type RuleSettings } from "../rule.ts";

export const tenantForeignKeyWithoutTenant = defineRule({
  id: "tenant-foreign-key-without-tenant",
  title: "Foreign key without the tenant",
  severity: "warning",
  why: "Foreign keys are checked past row-level security: a row of one tenant can reference a row of another, the error tells whether a key exists there, and ON DELETE CASCADE deletes across tenants.",
  examines: "foreign keys between tenant tables",
  check(catalog, settings) {
    const targets = new Map(
      tenantTables(catalog, settings.tenantColumn).map(({ table }) => [keyOf(table.schema, table.name), table]),
    );
    const foreignKeys = [...targets.values()].flatMap((table) =>
      foreignKeysOf(table).flatMap((foreignKey) => {
        const target =
          foreignKey.references === undefined
            ? undefined
            : targets.get(keyOf(foreignKey.references.schema, foreignKey.references.table));
        return target === undefined || !foreignKey.isLocal ? [] : [{ table, foreignKey, target }];
      }),
    );
    return {
      examined: foreignKeys.length,
      findings: foreignKeys
        .filter(({ foreignKey }) => {
          const at = foreignKey.columns.indexOf(settings.tenantColumn);
          return at < 0 || foreignKey.references?.columns[at] !== settings.tenantColumn;
        })
        .map(({ table, foreignKey, target }) => ({
          subject: { kind: "constraint", schema: table.schema, table: table.name, name: foreignKey.name },
          columns: foreignKey.columns,
          message: `The foreign key ${foreignKey.name} lets a row of ${nameOf(table)} reference a row of another tenant in ${nameOf(target)}.`,
          examined: `the columns of ${foreignKey.name}`,
          fix: fixFor(catalog, table, foreignKey, target, settings),
        })),
    };
  },
});

function fixFor(
  catalog: Catalog,
  table: Table,
  foreignKey: Constraint,
  target: Table,
  settings: RuleSettings,
): { description: string; sql: string | undefined } {
  const tenant = settings.tenantColumn;
  const references = foreignKey.references;
  const action = (when: "UPDATE" | "DELETE", what: string | undefined): string =>
    what === undefined || what === "no action" ? "" : ` ON ${when} ${what.toUpperCase()}`;
  const isPlain = (what: string | undefined): boolean =>
    what === "no action" || what === "restrict" || what === "cascade";
  const type = (column: Column | undefined): string | undefined => column?.baseType;
  if (
    references === undefined ||
    !isPlain(references.onDelete) ||
    !isPlain(references.onUpdate) ||
    table.kind !== "table" ||
    target.kind !== "table" ||
    foreignKey.isDeferrable ||
    !foreignKey.isEnforced ||
    foreignKey.columns.includes(tenant) ||
    type(columnOf(table, tenant)) !== type(columnOf(target, tenant))
  ) {
    return {
      description: `Replace it by a foreign key of (${tenant}, ${foreignKey.columns.join(", ")}) to the same columns of ${nameOf(target)}, which must be unique together.`,
      sql: undefined,
    };
  }
  const referenced = [tenant, ...references.columns];
  const hasKey = target.constraints.some(
    (constraint) =>
      (constraint.kind === "primary key" || constraint.kind === "unique") &&
      !constraint.isDeferrable &&
      isSameSet(constraint.columns, referenced),
  );
  const isOurs = settings.naming === "pgsteward";
  const uniqueName = freeName(
    isOurs ? `uq_${target.name}_${referenced.join("_")}` : `${target.name}_${referenced.join("_")}_key`,
    relationNames(catalog, target.schema),
  );
  const columns = [tenant, ...foreignKey.columns];
  const name = freeName(
    isOurs ? `fk_${table.name}_${target.name}_${tenant}` : `${table.name}_${columns.join("_")}_fkey`,
    new Set(table.constraints.map((constraint) => constraint.name)),
  );
  return {
    description:
      "Reference the row together with its tenant. Run it as one script; it locks both tables against writes while it checks, and fails, changing nothing, when a row references another tenant's already.",
    sql: [
      ...(hasKey
        ? []
        : [
            `ALTER TABLE ${sqlNameOf(target)} ADD CONSTRAINT ${identifier(uniqueName)} UNIQUE (${columnList(referenced)});`,
          ]),
      `ALTER TABLE ${sqlNameOf(table)} ADD CONSTRAINT ${identifier(name)} FOREIGN KEY (${columnList(columns)}) REFERENCES ${sqlNameOf(target)} (${columnList(referenced)})${action("UPDATE", references.onUpdate)}${action("DELETE", references.onDelete)};`,
      `ALTER TABLE ${sqlNameOf(table)} DROP CONSTRAINT ${identifier(foreignKey.name)};`,
    ].join("\n"),
  };
}
