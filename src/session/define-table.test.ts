import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { defineTable, tableMetadata } from "./define-table.ts";

const columns = { id: integer().primaryKey(), version: integer().notNull(), body: text() };

test("metadata is kept beside the table, which stays the table", () => {
  const table = pgTable("pages", columns);
  expect(defineTable(table, { version: "version", comment: "pages" })).toBe(table);
  expect(tableMetadata(table)).toEqual({ version: "version", comment: "pages" });
});

test("a table without metadata has none", () => {
  expect(tableMetadata(pgTable("pages", columns))).toEqual({});
});

test("a column that the table does not have is refused by name", () => {
  const table = pgTable("pages", columns);
  expect(() => defineTable(table, { softDelete: "deleted_at" as never, include: { i: ["nope" as never] } })).toThrow(
    "the table pages has no column deleted_at, nope",
  );
});
