// The words in which a person asks for a change: `column shop.orders.total type bigint`.
import { InvalidInputError } from "../../postgres/index.ts";
import type { ExpandChange } from "./change.ts";

const NAME = String.raw`(?:"(?:[^"]|"")+"|[^\s".]+)`;
const COLUMN = String.raw`(?:(${NAME})\.)?(${NAME})\.(${NAME})`;
const TABLE = String.raw`(?:(${NAME})\.)?(${NAME})`;
const FORMS: readonly (readonly [RegExp, (parts: readonly string[]) => ExpandChange])[] = [
  [
    new RegExp(String.raw`^column\s+${COLUMN}\s+type\s+(.+)$`, "is"),
    ([schema = "", table = "", column = "", type = ""]) => ({
      kind: "column type",
      schema: folded(schema) || "public",
      table: folded(table),
      column: folded(column),
      type: type.trim(),
    }),
  ],
  [
    new RegExp(String.raw`^column\s+${COLUMN}\s+rename\s+to\s+(${NAME})$`, "is"),
    ([schema = "", table = "", column = "", to = ""]) => ({
      kind: "column rename",
      schema: folded(schema) || "public",
      table: folded(table),
      column: folded(column),
      to: folded(to),
    }),
  ],
  [
    new RegExp(String.raw`^column\s+${COLUMN}\s+not\s+null\s+default\s+(.+)$`, "is"),
    ([schema = "", table = "", column = "", value = ""]) => ({
      kind: "column not null",
      schema: folded(schema) || "public",
      table: folded(table),
      column: folded(column),
      default: value.trim(),
    }),
  ],
  [
    new RegExp(String.raw`^table\s+${TABLE}\s+rename\s+to\s+(${NAME})$`, "is"),
    ([schema = "", table = "", to = ""]) => ({
      kind: "table rename",
      schema: folded(schema) || "public",
      table: folded(table),
      to: folded(to),
    }),
  ],
];

/**
 * Reads `column TABLE.COLUMN type TYPE`, `column TABLE.COLUMN rename to NAME`, `column TABLE.COLUMN not null default VALUE` or
 * `table TABLE rename to NAME`. Names as in SQL: unquoted ones are folded to lower case; without a schema it is public.
 *
 * @throws InvalidInputError for anything else; the hint lists the forms
 */
export function readExpandChange(text: string): ExpandChange {
  for (const [form, make] of FORMS) {
    const parts = form.exec(text.trim());
    if (parts !== null) return make(parts.slice(1));
  }
  throw new InvalidInputError(`${JSON.stringify(text)} is no change that expand and contract knows`, {
    hint: "say: column shop.orders.total type bigint | column shop.orders.total rename to amount | column shop.orders.state not null default 'open' | table shop.orders rename to sales",
  });
}

function folded(name: string | undefined): string {
  if (name === undefined) return "";
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();
}
