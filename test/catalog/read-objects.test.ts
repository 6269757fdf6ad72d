// Every field of views, functions, types, sequences, rights and the rest, read from one rich schema on PostgreSQL 18 and on PGlite.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCatalog, type Catalog, type View } from "../../src/catalog/index.ts";
import { describeDatabases, type TestDatabase } from "../support/test-database.ts";

const setup = await readFile(new URL("fixtures/shop.sql", import.meta.url), "utf8");

describeDatabases((kind, open) => {
  let database: TestDatabase;
  let catalog: Catalog;

  beforeAll(async () => {
    database = await open({ setup });
    catalog = await readCatalog(database);
  });
  afterAll(() => database.close());

  function view(name: string): View {
    const found = catalog.views.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`no view ${name}`);
    return found;
  }
  const named = <T extends { readonly name: string }>(items: readonly T[], name: string): T | undefined =>
    items.find((item) => item.name === name);

  test("views and materialized views carry definition, options, columns, triggers, rules and indexes", () => {
    expect(view("open_orders")).toMatchObject({
      kind: "view",
      definition: expect.stringContaining("FROM shop.orders"),
      options: ["security_barrier=true"],
      comment: "to do",
      columns: [
        { name: "id", type: "integer" },
        { name: "amount", type: "numeric(10,2)", comment: "gross" },
      ],
      triggers: [{ name: "instead", timing: "instead of", events: ["update"] }],
      rules: [{ name: "no_delete", event: "delete", enabled: "origin", comment: "keep them" }],
      isPopulated: true,
    });
    expect(view("totals")).toMatchObject({
      kind: "materialized view",
      isPopulated: true,
      indexes: [{ name: "totals_state_idx", isUnique: true }],
    });
    expect(view("empty_totals").isPopulated).toBe(false);
  });

  test("functions, procedures and aggregates are told apart by their arguments", () => {
    expect(catalog.functions.map(({ name, arguments: list, kind: word }) => `${word} ${name}(${list})`)).toEqual([
      "function add(a integer, b integer)",
      "function add(a text, VARIADIC b text[])",
      "function half(numeric, numeric)",
      "procedure pay(INOUT order_id integer)",
      "function stamp()",
      "function state_number(shop.state)",
      "aggregate total(integer)",
    ]);
    expect(catalog.functions[0]).toMatchObject({
      returns: "integer",
      language: "sql",
      volatility: "immutable",
      isStrict: true,
      isLeakproof: true,
      parallel: "safe",
      definition: expect.stringContaining("b integer DEFAULT 1"),
      aggregate: undefined,
    });
    expect(named(catalog.functions, "stamp")).toMatchObject({
      isSecurityDefiner: true,
      settings: ["search_path=pg_catalog, pg_temp"],
      returns: "trigger",
      comment: "keeps times",
    });
    expect(named(catalog.functions, "pay")?.returns).toBeUndefined();
    expect(named(catalog.functions, "total")).toMatchObject({
      definition: undefined,
      aggregate: {
        kind: "normal",
        transitionFunction: "int4pl",
        stateType: "integer",
        initialValue: "0",
        combineFunction: "int4pl",
        finalFunction: undefined,
        moving: undefined,
      },
    });
  });

  test("enums keep the order of their labels", () => {
    expect(catalog.enums).toMatchObject([
      { schema: "shop", name: "state", labels: ["new", "paid", "packed", "shipped"], comment: "life of an order" },
    ]);
  });

  test("domains carry their checks and the type at the bottom", () => {
    expect(catalog.domains).toMatchObject([
      {
        name: "amount",
        type: "numeric(12,2)",
        baseType: "numeric(12,2)",
        isNullable: false,
        default: "0",
        constraints: [
          {
            name: "amount_positive",
            definition: "CHECK ((VALUE >= (0)::numeric))",
            isValidated: true,
            comment: "no debts",
          },
          { name: "amount_small", isValidated: false },
        ],
      },
      { name: "code", type: "text", collation: '"C"', isNullable: true, constraints: [] },
      { name: "price", type: "shop.amount", baseType: "numeric(12,2)" },
    ]);
  });

  test("composite types and ranges are read", () => {
    expect(catalog.compositeTypes).toMatchObject([
      {
        name: "address",
        attributes: [
          { name: "street", type: "text", collation: undefined, comment: "with number" },
          { name: "city", type: "text", collation: '"C"' },
          { name: "lines", type: "integer[]" },
        ],
      },
    ]);
    expect(catalog.ranges).toMatchObject([
      {
        name: "price_range",
        subtype: "numeric",
        operatorClass: "pg_catalog.numeric_ops",
        isDefaultOperatorClass: true,
        differenceFunction: "shop.half",
        canonicalFunction: undefined,
        multirangeName: "price_ranges",
      },
    ]);
  });

  test("sequences carry their settings, last value and owner column", () => {
    expect(catalog.sequences).toMatchObject([
      {
        name: "customers_id_seq",
        start: "1000",
        lastValue: "1049",
        ownedBy: { schema: "shop", table: "customers", column: "id", isIdentity: true },
      },
      {
        name: "scratch_id_seq",
        type: "integer",
        persistence: "unlogged",
        isLastValueReadable: true,
        lastValue: undefined,
        ownedBy: { table: "scratch", column: "id", isIdentity: false },
      },
      {
        name: "ticket",
        type: "integer",
        start: "100",
        increment: "5",
        minimum: "10",
        maximum: "1000",
        cache: "7",
        cycles: true,
        ownedBy: undefined,
        comment: "counter",
      },
    ]);
  });

  test("rights on every kind of object, on columns and by default are read; untouched ones have no entry", async () => {
    const { rows } = await database.query<{ user: string }>("SELECT current_user::text AS user");
    const user = rows[0]?.user;
    const of = (objectKind: string, object: string): unknown =>
      catalog.grants
        .filter((grant) => grant.objectKind === objectKind && grant.object === object)
        .map(({ grantee, privileges, grantable }) => [grantee, privileges, grantable]);
    expect(of("table", "customers")).toContainEqual([
      "pg_monitor",
      ["INSERT", "SELECT", "UPDATE"],
      ["INSERT", "SELECT"],
    ]);
    expect(of("table", "orders")).toEqual([]);
    expect(of("table", "open_orders")).toContainEqual(["pg_monitor", ["SELECT"], []]);
    expect(of("column", "customers.Full Name")).toEqual([["public", ["SELECT"], []]]);
    expect(of("sequence", "ticket")).toContainEqual(["pg_monitor", ["USAGE"], []]);
    expect(of("schema", "shop")).toContainEqual(["pg_monitor", ["USAGE"], []]);
    expect(of("function", "stamp()")).toEqual([[user, ["EXECUTE"], []]]);
    expect(of("function", "add(a integer, b integer)")).toEqual([[user, [], []]]);
    expect(of("type", "state")).toContainEqual(["pg_monitor", ["USAGE"], []]);
    expect(catalog.grants.filter(({ objectKind }) => objectKind === "default")).toEqual([
      {
        objectKind: "default",
        schema: undefined,
        object: "functions",
        grantee: user,
        grantor: user,
        privileges: ["EXECUTE"],
        grantable: [],
      },
      {
        objectKind: "default",
        schema: "shop",
        object: "tables",
        grantee: "pg_monitor",
        grantor: user,
        privileges: ["SELECT"],
        grantable: [],
      },
    ]);
  });

  test("extended statistics are read", () => {
    expect(catalog.statistics).toMatchObject([
      {
        name: "customers_stats",
        table: { schema: "shop", name: "customers" },
        statisticsTarget: 200,
        comment: "correlated",
        definition: "CREATE STATISTICS shop.customers_stats (dependencies) ON tenant_id, email FROM shop.customers",
      },
    ]);
  });

  test("collations, operators, casts and text search configurations are read; nothing is unknown", () => {
    expect(catalog.casts).toMatchObject([
      { name: "shop.state AS integer", function: "shop.state_number(shop.state)", context: "explicit" },
    ]);
    expect(catalog.collations).toMatchObject([{ schema: "shop", name: "plain", provider: "libc", lcCollate: "C" }]);
    expect(catalog.operators).toMatchObject([
      { schema: "shop", name: "<<<", left: "integer", right: "integer", function: "int4lt" },
    ]);
    expect(catalog.textSearchConfigurations).toMatchObject([
      { schema: "shop", name: "words", parser: 'pg_catalog."default"' },
    ]);
    expect(catalog.unknownObjects).toEqual([]);
  });

  test("two readings are equal, and nothing is lost in JSON", async () => {
    const again = await readCatalog(database);
    expect(again).toEqual(catalog);
    expect(JSON.parse(JSON.stringify(catalog))).toEqual(JSON.parse(JSON.stringify(again)));
    expect(structuredClone(catalog)).toEqual(catalog);
  });

  test(`only the named schemas are read (${kind})`, async () => {
    const part = await readCatalog(database, { schemas: ['Größe "8"'] });
    expect(part.schemas.map(({ name }) => name)).toEqual(['Größe "8"']);
    expect(part.tables.map(({ name }) => name)).toEqual(["Äpfel.rot"]);
    expect(part.functions).toEqual([]);
    expect([...part.collations, ...part.operators, ...part.textSearchConfigurations]).toEqual([]);
    expect((await readCatalog(database, { schemas: [] })).tables).toEqual([]);
  });
});
