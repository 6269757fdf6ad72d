// A table's new name, while programs still use the old one: the old name becomes a view, which PostgreSQL lets them write to.
import type { Catalog, Table } from "../../catalog/index.ts";
import { identifier, InvalidInputError, literal } from "../../postgres/index.ts";
import { inTransaction, type ExpandChange, type ExpandPhase } from "./change.ts";
import { fileWords } from "./names.ts";
import { findTable } from "./parts.ts";

/** Views look at rows with the rights of whoever asks from this version on; before, row-level security would be the view owner's. */
const SECURITY_INVOKER = 150_000;

/** @throws InvalidInputError when the new name is taken, or when a view would pass by the table's row-level security */
export function tableRenamePhases(
  catalog: Catalog,
  change: Extract<ExpandChange, { readonly kind: "table rename" }>,
): readonly ExpandPhase[] {
  const { schema, to } = change;
  const table = findTable(catalog, schema, change.table);
  const taken = [...catalog.tables, ...catalog.views, ...catalog.sequences].some(
    (other) => other.schema === schema && other.name === to,
  );
  if (taken)
    throw new InvalidInputError(`there is a relation ${schema}.${to} already`, { hint: "choose another name" });
  if (table.rowSecurity.enabled && catalog.serverVersion < SECURITY_INVOKER) {
    throw new InvalidInputError(`a view in the place of ${schema}.${table.name} would pass by its row-level security`, {
      hint: "PostgreSQL 15 has views with security_invoker; on an older server rename the table in one step, with all programs",
    });
  }
  const createView = viewStatements(catalog, table, to);
  const dropView = `DROP VIEW ${identifier(schema, table.name)}`;
  const words = (phase: string): string => fileWords(phase, table.name, "to", to);
  return [
    {
      phase: "rename",
      name: words("rename"),
      why: [
        `${table.name} becomes ${to}; a view with the old name lets programs that do not know yet read and write it.`,
        "Both statements only change the catalog, in one transaction: no program sees a moment without either name.",
      ],
      up: inTransaction(`ALTER TABLE ${identifier(schema, table.name)} RENAME TO ${identifier(to)}`, ...createView),
      down: inTransaction(dropView, `ALTER TABLE ${identifier(schema, to)} RENAME TO ${identifier(table.name)}`),
      backfill: undefined,
    },
    {
      phase: "contract",
      name: words("contract"),
      why: [`Drops the view ${table.name}. Run it when no program uses the old name any more.`],
      up: inTransaction(dropView),
      down: inTransaction(...createView),
      backfill: undefined,
    },
  ];
}

function viewStatements(catalog: Catalog, table: Table, to: string): readonly string[] {
  const view = identifier(table.schema, table.name);
  const columns = table.columns.map(({ name }) => identifier(name)).join(", ");
  const options = catalog.serverVersion >= SECURITY_INVOKER ? " WITH (security_invoker = true)" : "";
  const rights = catalog.grants.filter(
    (grant) =>
      grant.objectKind === "table" &&
      grant.schema === table.schema &&
      grant.object === table.name &&
      grant.grantee !== table.owner &&
      grant.privileges.length > 0,
  );
  return [
    `CREATE VIEW ${view}${options} AS SELECT ${columns} FROM ${identifier(table.schema, to)}`,
    `ALTER VIEW ${view} OWNER TO ${identifier(table.owner)}`,
    `COMMENT ON VIEW ${view} IS ${literal(`Old name of ${to}, for programs that still use it`)}`,
    ...rights.flatMap(({ grantee, privileges }) => {
      // What a view has no use for (TRUNCATE, REFERENCES, TRIGGER, MAINTAIN) stays with the table.
      const useful = privileges.filter((privilege) => ["SELECT", "INSERT", "UPDATE", "DELETE"].includes(privilege));
      if (useful.length === 0) return [];
      return [`GRANT ${useful.join(", ")} ON ${view} TO ${grantee === "public" ? "PUBLIC" : identifier(grantee)}`];
    }),
  ];
}
