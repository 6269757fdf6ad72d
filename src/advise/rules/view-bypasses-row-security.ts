// Views that read tables with row-level security with the rights of the view's owner.
import type { Table, View } from "../../catalog/index.ts";
import { count, escapeRegExp, listNames, nameOf, sqlNameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const viewBypassesRowSecurity = defineRule({
  id: "view-bypasses-row-security",
  title: "View that may go past row-level security",
  severity: "warning",
  why: "A view reads its tables as its owner, not as the one who asks: the policies are judged for the owner, and not at all when the owner is a superuser or has BYPASSRLS. A materialized view keeps the rows its owner saw, and can have no policies.",
  examines: "views",
  check(catalog) {
    const guarded = catalog.tables.filter((table) => table.rowSecurity.enabled);
    return {
      examined: catalog.views.length,
      findings: catalog.views.flatMap((view) => {
        const tables = isInvoker(view) ? [] : guarded.filter((table) => reads(view, table));
        if (tables.length === 0) return [];
        return [
          {
            subject: { kind: "view" as const, schema: view.schema, name: view.name },
            columns: [],
            message: `The ${view.kind} ${nameOf(view)} reads ${listNames(tables.map(nameOf))} as its owner ${view.owner}.`,
            examined: `the definition and options of ${nameOf(view)} against ${count(guarded.length, "table")} with row-level security`,
            fix:
              view.kind === "view" && catalog.serverVersion >= 150_000
                ? {
                    description:
                      "Let it read as the one who asks. Roles that use the view then need rights on its tables too.",
                    sql: `ALTER VIEW ${sqlNameOf(view)} SET (security_invoker = true);`,
                  }
                : {
                    description:
                      view.kind === "view"
                        ? "From PostgreSQL 15 on a view can read as the one who asks (security_invoker). Before, use a function with the rights of its caller."
                        : "Grant the materialized view to roles that may see every tenant only, or replace it by a table with policies.",
                    sql: undefined,
                  },
          },
        ];
      }),
    };
  },
});

const isInvoker = (view: View): boolean =>
  view.options.some((option) => /^security_invoker=(true|on|yes|1)$/i.test(option));

/** By name in the FROM clauses, which name schemas where the search path does not: `FROM app.todos t`, `JOIN (todos …`. */
function reads(view: View, table: Table): boolean {
  // Nearly all pairs end here; a quote in a name is doubled in the definition.
  if (!view.definition.includes(table.name.replaceAll('"', '""'))) return false;
  const part = (name: string): string => `(?:"${escapeRegExp(name.replaceAll('"', '""'))}"|${escapeRegExp(name)})`;
  const named = `\\(*(?:ONLY\\s+)?(?:${part(table.schema)}\\.)?${part(table.name)}(?![\\w$".])`;
  const definition = view.definition.replaceAll(/'(?:[^']|'')*'/g, "''");
  if (new RegExp(`\\b(?:FROM|JOIN)\\s+${named}`).test(definition)) return true;
  return fromLists(definition).some((list) => new RegExp(`,\\s*${named}`).test(list));
}

/** What stands between FROM and the next clause, without what stands in parentheses: only there does a comma part tables. */
function fromLists(definition: string): string[] {
  const clause = /\b(?:WHERE|GROUP BY|HAVING|WINDOW|ORDER BY|LIMIT|OFFSET|FETCH|UNION|INTERSECT|EXCEPT)\b/y;
  return [...definition.matchAll(/\bFROM\b/g)].map((from) => {
    let list = "";
    let depth = 0;
    for (let at = from.index + from[0].length; at < definition.length && depth >= 0; at += 1) {
      if (definition[at] === "(") depth += 1;
      if (definition[at] === ")") depth -= 1;
      clause.lastIndex = at;
      if (depth === 0 && clause.test(definition)) break;
      if (depth === 0) list += definition[at];
    }
    return list;
  });
}
