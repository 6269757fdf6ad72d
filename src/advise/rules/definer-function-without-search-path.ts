// SECURITY DEFINER functions that look names up along the caller's search path.
import { identifier } from "../../postgres/index.ts";
import { nameOf, sqlNameOf } from "../objects.ts";
import { defineRule } from "../rule.ts";

export const definerFunctionWithoutSearchPath = defineRule({
  id: "definer-function-without-search-path",
  title: "SECURITY DEFINER without search_path",
  severity: "error",
  why: "The function runs with its owner's rights, but finds tables and functions along the caller's search path: the caller puts an object of the same name first, even a temporary one, and the owner's rights work on that.",
  examines: "SECURITY DEFINER functions",
  check(catalog) {
    const functions = catalog.functions.filter((routine) => routine.isSecurityDefiner);
    return {
      examined: functions.length,
      findings: functions
        .filter((routine) => !routine.settings.some((setting) => /^search_path=/i.test(setting)))
        .map((routine) => {
          const kind = routine.kind === "procedure" ? "PROCEDURE" : "FUNCTION";
          return {
            subject: { kind: "function", schema: routine.schema, name: routine.name },
            columns: [],
            message: `${nameOf(routine)}(${routine.arguments}) runs with the rights of ${routine.owner} along the caller's search path.`,
            examined: `the settings of ${nameOf(routine)}`,
            fix: {
              description: `Fix its search path to its own schema, with pg_temp last. If it uses objects of other schemas without naming these, add them.`,
              sql: `ALTER ${kind} ${sqlNameOf(routine)}(${routine.arguments}) SET search_path = ${identifier(routine.schema)}, pg_temp;`,
            },
          };
        }),
    };
  },
});
