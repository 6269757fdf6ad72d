// Indexes a failed CREATE INDEX or REINDEX CONCURRENTLY left behind.
import { identifier } from "../../postgres/index.ts";
import { defineRule } from "../rule.ts";
import { nameOf, sizeText } from "../objects.ts";

export const invalidIndex = defineRule({
  id: "invalid-index",
  title: "Invalid index",
  severity: "error",
  why: "No query uses an invalid index, an invalid unique index may not have refused anything, and yet each write maintains it. CREATE INDEX IF NOT EXISTS takes it for the real one.",
  examines: "indexes",
  check(catalog) {
    const indexes = [...catalog.tables, ...catalog.views].flatMap((relation) =>
      relation.indexes.map((index) => ({ relation, index })),
    );
    return {
      examined: indexes.length,
      findings: indexes
        // An index on a partitioned table is invalid until every partition's index is attached: unfinished, not failed.
        .filter(({ index }) => !index.isValid && !index.isBeingBuilt && !index.isPartitioned)
        .map(({ relation, index }) => {
          const name = identifier(relation.schema, index.name);
          // REINDEX CONCURRENTLY builds under a name with these endings and renames at its end.
          const isLeftOver = /_cc(new|old)\d*$/.test(index.name);
          return {
            subject: { kind: "index", schema: relation.schema, table: relation.name, name: index.name },
            columns: index.keys.map((key) => key.column ?? key.expression),
            message: `${index.name} of ${nameOf(relation)} (${sizeText(index.sizeBytes)}) is invalid and nobody is building it.`,
            examined: `the validity of ${index.name}, and the index builds that run now`,
            fix: isLeftOver
              ? {
                  description:
                    "It is what a stopped REINDEX CONCURRENTLY left behind; the index it was made for is still there. Drop it, outside a transaction, as a statement of its own.",
                  sql: `DROP INDEX CONCURRENTLY IF EXISTS ${name};`,
                }
              : {
                  description: `Build it again, outside a transaction, as a statement of its own. ${index.isUnique ? "Remove the duplicate rows first, or it fails again." : "Or drop it, if nobody needs it."}`,
                  sql: `REINDEX INDEX CONCURRENTLY ${name};`,
                },
          };
        }),
    };
  },
});
