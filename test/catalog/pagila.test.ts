// A public sample schema, read on PGlite (it needs vector and uuidv7). The expected facts were taken from its SQL by hand.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeTable, readCatalog, type Catalog } from "../../src/catalog/index.ts";
import { testPglite, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let catalog: Catalog;

beforeAll(async () => {
  database = await testPglite();
  await database.exec(await readFile(new URL("../data/pagila/schema.sql", import.meta.url), "utf8"));
  catalog = await readCatalog(database);
});
afterAll(() => database.close());

const namesOf = (items: readonly { readonly name: string }[]): readonly string[] => items.map(({ name }) => name);

test("its 16 tables, 55 partitions, 7 views and one materialized view are read", () => {
  const partitions = catalog.tables.filter(({ partitionOf }) => partitionOf !== undefined);
  expect(catalog.tables).toHaveLength(71);
  expect(partitions).toHaveLength(55);
  expect(partitions.every(({ partitionOf }) => partitionOf?.name === "payment")).toBe(true);
  expect(catalog.views.map(({ name, kind }) => (kind === "view" ? name : `${name} (${kind})`))).toEqual([
    "actor_info",
    "customer_list",
    "film_list",
    "nicer_but_slower_film_list",
    "rental_by_category (materialized view)",
    "sales_by_film_category",
    "sales_by_store",
    "staff_list",
  ]);
});

test("its functions, types and sequences are read without those of the vector extension", () => {
  expect(namesOf(catalog.functions)).toEqual([
    "_group_concat",
    "film_in_stock",
    "film_not_in_stock",
    "get_customer_balance",
    "group_concat",
    "inventory_held_by_customer",
    "inventory_in_stock",
    "last_day",
    "last_updated",
    "rewards_report",
  ]);
  expect(catalog.functions.find(({ name }) => name === "group_concat")).toMatchObject({
    kind: "aggregate",
    aggregate: { transitionFunction: "public._group_concat", stateType: "text" },
  });
  expect(catalog.enums).toMatchObject([{ name: "mpaa_rating", labels: ["G", "PG", "PG-13", "R", "NC-17"] }]);
  expect(catalog.domains).toMatchObject([
    { name: "bıgınt", type: "bigint", constraints: [] },
    { name: "year", type: "integer", constraints: [{ name: "year_check" }] },
  ]);
  expect(catalog.sequences).toHaveLength(13);
  expect(catalog.extensions).toContainEqual(expect.objectContaining({ name: "vector", schema: "public" }));
  expect(catalog.unknownObjects).toEqual([]);
});

test("the film table carries its domain, enum, array, virtual and full-text columns", () => {
  const { table } = describeTable(catalog, "film");
  const column = (name: string): unknown => table.columns.find((candidate) => candidate.name === name);
  expect(namesOf(table.columns)).toHaveLength(15);
  expect(column("release_year")).toMatchObject({ type: "public.year", baseType: "integer" });
  expect(column("rating")).toMatchObject({ type: "public.mpaa_rating", default: "'G'::public.mpaa_rating" });
  expect(column("special_features")).toMatchObject({ type: "text[]" });
  expect(column("length_hours")).toMatchObject({ type: "numeric(4,2)", generated: { kind: "virtual" } });
  expect(column("fulltext")).toMatchObject({ type: "tsvector", isNullable: false });
  expect(namesOf(table.triggers)).toEqual(["film_fulltext_trigger", "last_updated"]);
  expect(table.triggers[0]).toMatchObject({ functionSchema: "pg_catalog", functionName: "tsvector_update_trigger" });
  expect(namesOf(table.indexes)).toEqual([
    "film_fulltext_idx",
    "film_pkey",
    "idx_fk_language_id",
    "idx_fk_original_language_id",
    "idx_title",
  ]);
});

test("who references the film table is known, with the actions", () => {
  expect(
    describeTable(catalog, "public.film").referencedBy.map(({ table, constraint }) => [
      table,
      constraint.columns,
      constraint.references?.onDelete,
    ]),
  ).toEqual([
    ["film_actor", ["film_id"], "restrict"],
    ["film_category", ["film_id"], "restrict"],
    ["film_embedding", ["film_id"], "cascade"],
    ["inventory", ["film_id"], "restrict"],
  ]);
});

test("the partitions of payment are described in order, with bounds in UTC", () => {
  const { partitions } = describeTable(catalog, "payment");
  expect(partitions).toHaveLength(55);
  expect(partitions[0]).toMatchObject({
    name: "payment_p2022_01",
    level: 1,
    bound: "FOR VALUES FROM ('2022-01-01 00:00:00+00') TO ('2022-02-01 00:00:00+00')",
  });
  expect(partitions[3]?.bound).toBe("FOR VALUES FROM ('2022-04-01 00:00:00+00') TO ('2022-05-01 00:00:00+00')");
});

test("the vector index keeps its operator class", () => {
  expect(describeTable(catalog, "film_embedding").table.indexes[0]).toMatchObject({
    method: "hnsw",
    keys: [{ column: "embedding", operatorClass: "vector_cosine_ops", operatorClassSchema: "public" }],
  });
});
