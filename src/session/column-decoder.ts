// From what the driver gives for a column to what Drizzle promises, as one function per column.
import { Column, is } from "drizzle-orm";
import { PgTimestamp } from "drizzle-orm/pg-core";
import { timestampDate } from "./timestamp-text.ts";

/** undefined: the value stays as it is. Never called for NULL. */
export type ColumnDecoder = ((value: unknown) => unknown) | undefined;

type Decodable = Pick<Column, "mapFromDriverValue">;

const decoders = new WeakMap<Decodable, { readonly decode: ColumnDecoder }>();

/** One for each column: every query asks for them. */
export function columnDecoder(column: Decodable): ColumnDecoder {
  let known = decoders.get(column);
  if (known === undefined) decoders.set(column, (known = { decode: makeDecoder(column) }));
  return known.decode;
}

function makeDecoder(column: Decodable): ColumnDecoder {
  if (column.mapFromDriverValue === Column.prototype.mapFromDriverValue) return undefined;
  if (is(column, PgTimestamp) && column.mapFromDriverValue === PgTimestamp.prototype.mapFromDriverValue) {
    // Neighbouring rows often have one time: those of a bulk insert, or of a transaction.
    let lastText: unknown;
    let lastTime = Number.NaN;
    return (value) => {
      if (value === lastText) return new Date(lastTime);
      const date =
        (typeof value === "string" ? timestampDate(value) : undefined) ?? column.mapFromDriverValue(value as string);
      lastText = value;
      lastTime = date.getTime();
      return date;
    };
  }
  return (value) => column.mapFromDriverValue(value);
}

/** The driver's parser of the server's text, and then the column's decoder. */
export function parsedDecoder(parse: ((text: string) => unknown) | undefined, decode: ColumnDecoder): ColumnDecoder {
  if (parse === undefined) return decode;
  if (decode === undefined) return parse as ColumnDecoder;
  return (text) => decode(parse(text as string));
}
