// Volatility of expressions as the catalog has them. Apart from default-volatility.ts because it needs the parser at once, which the
// linter loads when there is something to parse.
import type { Catalog } from "../catalog/index.ts";
import { BatchState } from "./batch-state.ts";
import { volatileFunctionIn } from "./default-volatility.ts";
import { parseStatement } from "./parse-statement.ts";

/** Tells of expressions, as the server prints them, whether they are VOLATILE where the catalog's functions are what they are. */
export function volatilityIn(catalog: Catalog): (expression: string) => boolean {
  let state: BatchState | undefined;
  return (expression) => {
    state ??= new BatchState({ ...catalog, tables: [], domains: [] });
    return volatileFunctionIn(parseStatement(`SELECT ${expression}`).node, state) !== undefined;
  };
}
