// The words in which a person says what is to go: `column shop.orders.note`, `table shop.drafts`.
import { InvalidInputError } from "../../postgres/index.ts";
import type { DropChange } from "./drop-parts.ts";

const NAME = String.raw`(?:"(?:[^"]|"")+"|[^\s".]+)`;
const COLUMN = new RegExp(String.raw`^column\s+(?:(${NAME})\.)?(${NAME})\.(${NAME})$`, "is");
const TABLE = new RegExp(String.raw`^table\s+(?:(${NAME})\.)?(${NAME})$`, "is");

/**
 * Reads `column TABLE.COLUMN` or `table TABLE`. Names as in SQL: unquoted ones are folded to lower case; without a schema it is public.
 *
 * @throws InvalidInputError for anything else; the hint has the forms
 */
export function readDropChange(text: string): DropChange {
  const column = COLUMN.exec(text.trim());
  if (column !== null) {
    return { kind: "column", schema: schemaOf(column[1]), table: folded(column[2]), column: folded(column[3]) };
  }
  const table = TABLE.exec(text.trim());
  if (table !== null) return { kind: "table", schema: schemaOf(table[1]), table: folded(table[2]) };
  throw new InvalidInputError(`${JSON.stringify(text)} does not say what is to go`, {
    hint: "say: column shop.orders.note | table shop.drafts",
  });
}

function schemaOf(name: string | undefined): string {
  return name === undefined ? "public" : folded(name);
}

function folded(name = ""): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();
}
