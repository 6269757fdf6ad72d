// Every field of tables and their parts, read from one rich schema on PostgreSQL 18 and on PGlite.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCatalog, type Catalog, type Table } from "../../src/catalog/index.ts";
import { describeDatabases, type TestDatabase } from "../support/test-database.ts";

const setup = await readFile(new URL("fixtures/shop.sql", import.meta.url), "utf8");

describeDatabases((_kind, open) => {
  let database: TestDatabase;
  let catalog: Catalog;

  beforeAll(async () => {
    database = await open({ setup });
    catalog = await readCatalog(database);
  });
  afterAll(() => database.close());

  function table(name: string): Table {
    const found = catalog.tables.find((candidate) => candidate.schema === "shop" && candidate.name === name);
    if (found === undefined) throw new Error(`no table ${name}`);
    return found;
  }
  const named = <T extends { readonly name: string }>(items: readonly T[], name: string): T | undefined =>
    items.find((item) => item.name === name);

  test("without dependencies the rest is the same", async () => {
    const bare = await readCatalog(database, { includeDependencies: false });
    expect(catalog.dependencies.length).toBeGreaterThan(0);
    expect(bare).toEqual({ ...catalog, dependencies: [] });
  });

  test("the server, its schemas with comments, and no schema of the system are read", () => {
    expect(catalog.serverVersion).toBeGreaterThanOrEqual(180000);
    expect(catalog.databaseName).not.toBe("");
    expect(catalog.schemas.map(({ name }) => name)).toEqual(['Größe "8"', "public", "shop"]);
    expect(named(catalog.schemas, "shop")).toMatchObject({ comment: "what is sold", extension: undefined });
    const places = [...catalog.tables, ...catalog.views, ...catalog.functions, ...catalog.sequences, ...catalog.enums];
    expect(places.filter(({ schema }) => schema.startsWith("pg_") || schema === "information_schema")).toEqual([]);
  });

  test("a table carries its comment, sizes, estimate, parameters and replica identity", () => {
    const customers = table("customers");
    expect(customers).toMatchObject({
      kind: "table",
      persistence: "permanent",
      comment: "who buys",
      rowEstimate: 50,
      storageParameters: ["fillfactor=70", "toast.autovacuum_enabled=false"],
      accessMethod: "heap",
      replicaIdentity: "index",
      partitionKey: undefined,
      partitionOf: undefined,
      foreign: undefined,
      extension: undefined,
    });
    expect(customers.owner).not.toBe("");
    expect(table("orders").rowEstimate).toBeUndefined();
    expect(table("scratch").persistence).toBe("unlogged");
    expect(table("addresses").ofType).toBe("shop.address");
  });

  test("sizes are the server's own", async () => {
    const { rows } = await database.query<{ own: number; total: number }>(
      `SELECT pg_table_size('shop.customers')::int4 AS own, pg_total_relation_size('shop.customers')::int4 AS total`,
    );
    expect(table("customers").sizeBytes).toBe(rows[0]?.own);
    expect(table("customers").totalBytes).toBe(rows[0]?.total);
    expect(table("events")).toMatchObject({ sizeBytes: 0, totalBytes: 0 });
  });

  test("columns keep their positions over a dropped one", () => {
    expect(table("customers").columns.map(({ name, position }) => [name, position])).toEqual([
      ["tenant_id", 1],
      ["id", 2],
      ["email", 4],
      ["code", 5],
      ["credit", 6],
      ["tags", 7],
      ["address", 8],
      ["Full Name", 9],
      ["name_length", 10],
      ["seen_at", 11],
      ["note", 12],
    ]);
  });

  test("columns carry type, default, identity, generation, collation, storage and statistics", () => {
    const { columns } = table("customers");
    expect(named(columns, "id")).toMatchObject({ type: "bigint", identity: "always", isNullable: false });
    expect(named(columns, "email")).toMatchObject({
      collation: '"C"',
      statisticsTarget: 500,
      options: ["n_distinct=-0.5"],
      comment: "lower case",
      isNullable: true,
      default: undefined,
      identity: undefined,
      generated: undefined,
      isDefaultStorage: true,
      isLocal: true,
    });
    expect(named(columns, "code")).toMatchObject({ type: "shop.code", baseType: "text", collation: undefined });
    expect(named(columns, "credit")).toMatchObject({
      type: "shop.price",
      typeName: { schema: "shop", name: "price" },
      baseType: "numeric(12,2)",
    });
    expect(named(columns, "tags")).toMatchObject({
      type: "text[]",
      typeName: { schema: "pg_catalog", name: "_text", elementOf: { schema: "pg_catalog", name: "text" } },
      baseType: "text[]",
      default: "'{}'::text[]",
    });
    expect(named(columns, "Full Name")).toMatchObject({
      type: "character varying(40)",
      typeName: { schema: "pg_catalog", name: "varchar" },
      default: `'it''s "me"'::character varying`,
    });
    expect(named(columns, "name_length")).toMatchObject({
      default: undefined,
      generated: { kind: "stored", expression: 'length(("Full Name")::text)' },
    });
    expect(named(columns, "seen_at")?.type).toBe("timestamp(3) with time zone");
    expect(named(columns, "note")).toMatchObject({
      storage: "external",
      isDefaultStorage: false,
      compression: "pglz",
    });
  });

  test("quoted and Unicode names are read as they are", () => {
    const apples = catalog.tables.find(({ schema }) => schema === 'Größe "8"');
    expect(apples).toMatchObject({ name: "Äpfel.rot", columns: [{ name: "Sorte ✓" }, { name: "select" }] });
    expect(named(apples?.indexes ?? [], "idx Äpfel")?.keys).toMatchObject([
      { column: "select", expression: '"select"' },
      { column: undefined, expression: `(("Sorte ✓" || '!'::text))` },
    ]);
  });

  test("constraints carry columns in order, validity, deferral and inheritance", () => {
    const { constraints } = table("customers");
    expect(named(constraints, "customers_pkey")).toMatchObject({
      kind: "primary key",
      columns: ["tenant_id", "id"],
      index: "customers_pkey",
      isValidated: true,
      isDeferrable: false,
      isLocal: true,
      isEnforced: true,
      references: undefined,
      comment: "tenant first",
    });
    expect(named(constraints, "customers_email_key")).toMatchObject({
      kind: "unique",
      columns: ["tenant_id", "email"],
      isDeferrable: true,
      isInitiallyDeferred: true,
    });
    expect(named(constraints, "customers_note_check")).toMatchObject({ kind: "check", isNoInherit: true });
    expect(named(constraints, "customers_tags_check")).toMatchObject({
      isValidated: false,
      definition: "CHECK ((cardinality(tags) < 10)) NOT VALID",
    });
    expect(constraints.filter((constraint) => constraint.kind === "not null").map(({ columns }) => columns[0])).toEqual(
      ["Full Name", "id", "tags", "tenant_id"],
    );
    expect(named(table("orders").constraints, "orders_during_excl")).toMatchObject({
      kind: "exclusion",
      columns: ["during"],
      index: "orders_during_excl",
    });
    expect(named(table("cats").constraints, "animals_id_check")).toMatchObject({ kind: "check", isLocal: false });
  });

  test("foreign keys carry both sides and their actions", () => {
    const { constraints } = table("orders");
    expect(named(constraints, "orders_customer_fkey")).toMatchObject({
      kind: "foreign key",
      columns: ["tenant_id", "customer_id"],
      index: "customers_pkey",
      isDeferrable: true,
      isInitiallyDeferred: false,
      references: {
        schema: "shop",
        table: "customers",
        columns: ["tenant_id", "id"],
        onUpdate: "cascade",
        onDelete: "restrict",
        onDeleteColumns: [],
        match: "full",
      },
    });
    expect(named(constraints, "orders_parent_fkey")?.references).toMatchObject({
      table: "orders",
      onDelete: "set null",
    });
  });

  test("a foreign key to a partitioned table is one constraint", () => {
    const { constraints } = table("event_notes");
    expect(constraints.map(({ name }) => name)).toEqual(["event_notes_fkey"]);
    expect(constraints[0]?.references).toMatchObject({
      schema: "shop",
      table: "events",
      columns: ["id", "at", "kind"],
    });
  });

  test("indexes carry method, keys, INCLUDE, predicate and comment", () => {
    const { indexes } = table("customers");
    expect(named(indexes, "customers_lower_email_idx")).toMatchObject({
      method: "btree",
      isUnique: true,
      isPrimary: false,
      constraint: undefined,
      predicate: "(note IS NOT NULL)",
      include: ["Full Name"],
      storageParameters: ["fillfactor=80"],
      isValid: true,
      isReady: true,
      isBeingBuilt: false,
      nullsNotDistinct: false,
      comment: "log in",
    });
    expect(named(indexes, "customers_lower_email_idx")?.keys).toEqual([
      {
        column: "tenant_id",
        expression: "tenant_id",
        operatorClass: "uuid_ops",
        operatorClassSchema: "pg_catalog",
        isDefaultOperatorClass: true,
        operatorClassOptions: [],
        statisticsTarget: undefined,
        collation: undefined,
        direction: "asc",
        nulls: "last",
      },
      {
        column: undefined,
        expression: "lower(email)",
        operatorClass: "text_pattern_ops",
        operatorClassSchema: "pg_catalog",
        isDefaultOperatorClass: false,
        operatorClassOptions: [],
        statisticsTarget: 300,
        collation: '"POSIX"',
        direction: "desc",
        nulls: "first",
      },
    ]);
    expect(named(indexes, "customers_seen_idx")).toMatchObject({
      isClustered: true,
      keys: [
        { column: "seen_at", direction: "desc", nulls: "last" },
        { column: "id", direction: "asc", nulls: "first" },
      ],
    });
    expect(named(indexes, "customers_tags_idx")).toMatchObject({
      method: "gin",
      keys: [{ operatorClass: "array_ops" }],
    });
    expect(named(indexes, "customers_pkey")).toMatchObject({
      isPrimary: true,
      isReplicaIdentity: true,
      constraint: "customers_pkey",
      definition: "CREATE UNIQUE INDEX customers_pkey ON shop.customers USING btree (tenant_id, id)",
    });
    expect(named(indexes, "customers_pkey")?.sizeBytes).toBeGreaterThan(0);
    expect(named(table("orders").indexes, "orders_during_excl")).toMatchObject({
      method: "gist",
      constraint: "orders_during_excl",
    });
  });

  test("partitions of partitions know their parent and bound, and their indexes theirs", () => {
    expect(table("events")).toMatchObject({ kind: "partitioned", partitionKey: "RANGE (at)", partitionOf: undefined });
    expect(table("hashed").partitionKey).toBe("HASH (id)");
    expect(table("events_2024")).toMatchObject({
      kind: "partitioned",
      partitionKey: "LIST (kind)",
      partitionOf: {
        schema: "shop",
        name: "events",
        bound: "FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
        isDetachPending: false,
      },
      inherits: [],
    });
    expect(table("events_2024_click").partitionOf).toMatchObject({
      name: "events_2024",
      bound: "FOR VALUES IN ('click', 'tap')",
    });
    expect(table("events_rest").partitionOf?.bound).toBe("DEFAULT");
    const click = table("events_2024_click");
    expect(click.columns.every(({ isLocal }) => !isLocal)).toBe(true);
    expect(click.constraints.every(({ isLocal }) => !isLocal)).toBe(true);
    expect(named(click.constraints, "events_order_id_fkey")?.references).toMatchObject({ table: "orders" });
    expect(named(table("events").indexes, "events_kind_idx")).toMatchObject({ isPartitioned: true, isValid: true });
    expect(named(table("events").indexes, "events_kind_idx")?.scans).toBeUndefined();
    expect(named(table("events").indexes, "events_only_idx")).toMatchObject({ isPartitioned: true, isValid: false });
    expect(named(click.indexes, "events_2024_click_kind_idx")).toMatchObject({
      isPartitioned: false,
      partitionOf: "events_2024_kind_idx",
    });
  });

  test("inheritance that is not partitioning is kept apart", () => {
    expect(table("cats")).toMatchObject({ inherits: [{ schema: "shop", name: "animals" }], partitionOf: undefined });
    expect(table("cats").columns.map(({ name, isLocal }) => [name, isLocal])).toEqual([
      ["id", false],
      ["name", false],
      ["lives", true],
    ]);
  });

  test("row security and policies of all commands are read", async () => {
    const { rows } = await database.query<{ user: string }>("SELECT current_user::text AS user");
    expect(table("orders").rowSecurity).toEqual({ enabled: true, forced: true });
    expect(table("customers").rowSecurity).toEqual({ enabled: false, forced: false });
    expect(table("orders").policies).toMatchObject([
      { name: "changers", command: "update", using: "(total > (0)::numeric)", withCheck: "(total > (1)::numeric)" },
      { name: "everybody", command: "all", isPermissive: true, roles: ["public"], using: "true", withCheck: undefined },
      {
        name: "readers",
        command: "select",
        isPermissive: false,
        roles: ["pg_monitor", "pg_read_all_settings"],
        using: expect.stringContaining("current_setting('app.tenant_id'::text, true)"),
      },
      { name: "removers", command: "delete", roles: [rows[0]?.user] },
      {
        name: "writers",
        command: "insert",
        using: undefined,
        withCheck: "(total > (0)::numeric)",
        comment: "no gifts",
      },
    ]);
  });

  test("triggers carry timing, events, columns and state, and clones on partitions are marked", () => {
    expect(table("orders").triggers).toMatchObject([
      {
        name: "after_all",
        timing: "after",
        events: ["delete", "truncate"],
        updateColumns: [],
        level: "statement",
        enabled: "disabled",
      },
      {
        name: "stamp",
        timing: "before",
        events: ["insert", "update"],
        updateColumns: ["total", "state"],
        level: "row",
        enabled: "origin",
        functionSchema: "shop",
        functionName: "stamp",
        isLocal: true,
        isConstraint: false,
        comment: "times",
        definition: expect.stringContaining("WHEN ((new.total > (0)::numeric))"),
      },
    ]);
    expect(table("animals").triggers).toMatchObject([{ name: "later", isConstraint: true }]);
    expect(table("events").triggers).toMatchObject([{ name: "stamp_events", isLocal: true }]);
    expect(table("events_2024_click").triggers).toMatchObject([{ name: "stamp_events", isLocal: false }]);
  });
});
