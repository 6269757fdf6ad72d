// Rewrites the columns in an expression, at the places where the parser found them: texts, casts and functions of the same name
// stay as they are.
import { identifier } from "../../postgres/index.ts";
import { parseSqlScript } from "../sql-script.ts";
import { listOf, textOf, walk } from "../syntax.ts";

/** Parts of a reference, e.g. `["orders", "total"]`. */
export type ReferenceParts = readonly string[];

const REFERENCE =
  /^(?:"(?:[^"]|"")*"|[^\s".()[\],;:+\-*/<>=~!@#%^&|`?']+)(?:\s*\.\s*(?:"(?:[^"]|"")*"|[^\s".()[\],;:+\-*/<>=~!@#%^&|`?']+))*/;

/**
 * @param replace - the SQL to put in the place of a reference; `undefined` leaves it
 * @throws InvalidSqlError with a caret when the expression cannot be parsed
 */
export async function rewriteReferences(
  expression: string,
  replace: (parts: ReferenceParts) => string | undefined,
): Promise<string> {
  const prefix = "SELECT ";
  const text = `${prefix}${expression}`;
  const { statements } = await parseSqlScript(text, "expression");
  const bytes = Buffer.from(text, "utf8");
  const found: { readonly at: number; readonly length: number; readonly text: string }[] = [];
  walk(
    statements.map(({ node }) => node),
    (kind, node) => {
      if (kind !== "ColumnRef") return;
      const parts = listOf(node, "fields").map(({ node: field }) => textOf(field, "sval") ?? "*");
      const replacement = replace(parts);
      if (replacement === undefined) return;
      const at = Number(node["location"] ?? 0);
      const written = REFERENCE.exec(bytes.toString("utf8", at))?.[0] ?? "";
      found.push({ at, length: Buffer.byteLength(written), text: replacement });
    },
  );
  found.sort((left, right) => left.at - right.at);
  let result = "";
  let done = 0;
  for (const { at, length, text: replacement } of found) {
    result += bytes.toString("utf8", done, at) + replacement;
    done = at + length;
  }
  return (result + bytes.toString("utf8", done)).slice(prefix.length);
}

/** The expression with another name for a column, which may be qualified with the table's name. */
export function renameColumn(expression: string, table: string, from: string, to: string): Promise<string> {
  return rewriteReferences(expression, (parts) => {
    const isColumn = parts.at(-1) === from && (parts.length === 1 || parts.at(-2) === table);
    return isColumn ? identifier(to) : undefined;
  });
}

/** For a trigger: every column of the table becomes one of NEW. */
export function columnsOfNew(expression: string, table: string, columns: readonly string[]): Promise<string> {
  return rewriteReferences(expression, (parts) => {
    const name = parts.at(-1) ?? "";
    const isColumn = columns.includes(name) && (parts.length === 1 || parts.at(-2) === table);
    return isColumn ? `NEW.${identifier(name)}` : undefined;
  });
}
