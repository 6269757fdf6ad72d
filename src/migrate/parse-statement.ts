// One statement of our own as a parse tree, without waiting: planning is synchronous.
import { loadModule, parseSync } from "libpg-query";
import type { ScriptStatement } from "./sql-script.ts";

// Importing libpg-query starts its WebAssembly anyhow (50 to 160 ms); waiting for it here lets everything after be synchronous.
await loadModule();

/** @throws Error of libpg-query when the text is no statement */
export function parseStatement(sql: string): Pick<ScriptStatement, "kind" | "node"> {
  const [first] = parseSync(sql).stmts ?? [];
  const node = (first?.stmt ?? {}) as unknown as Readonly<Record<string, unknown>>;
  const [kind = ""] = Object.keys(node);
  return { kind, node: (node[kind] ?? {}) as Readonly<Record<string, unknown>> };
}
