// The same schema read on every supported major version gives the same catalog, but for what the versions differ in.
//
// Servers before 18 come from test/versions (npm ci --prefix test/versions). Those that are installed there are tested;
// PGSTEWARD_TEST_VERSIONS=14,15,16,17 makes a missing one a failure.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { compareCatalogs, printCatalog, readCatalog, type Catalog, type Table } from "../../src/catalog/index.ts";
import { openDatabase, type Database } from "../../src/postgres/index.ts";
import { startEmbeddedServer } from "../../src/postgres/embedded-server.ts";
import { namesToQuote, SETUP, travelWithRoles } from "../migrate/roles/travel.ts";
import { testDatabase } from "../support/test-database.ts";

const setup = await readFile(new URL("fixtures/shop.sql", import.meta.url), "utf8");
const everyKind = await readFile(new URL("fixtures/every-kind.sql", import.meta.url), "utf8");
const folderOf = (major: number): string =>
  fileURLToPath(new URL(`../versions/node_modules/pg${major}`, import.meta.url));

const asked = process.env["PGSTEWARD_TEST_VERSIONS"];
const majors =
  asked === undefined || asked.trim() === ""
    ? [14, 15, 16, 17].filter((major) => existsSync(folderOf(major)))
    : asked
        .split(",")
        .map(Number)
        .filter((major) => major !== 18);

/** What the newest server says, without what older ones cannot say. */
function comparable(catalog: Catalog): Catalog {
  const withoutOwner = <T extends { readonly owner: string }>(item: T): T => ({ ...item, owner: "" });
  return {
    ...catalog,
    serverVersion: 0,
    databaseName: "",
    // The owner of public is pg_database_owner from 15 on, and not everybody may create there.
    schemas: catalog.schemas.map((schema) => (schema.name === "public" ? withoutOwner(schema) : schema)),
    grants: catalog.grants
      .filter(({ objectKind, object }) => objectKind !== "schema" || object !== "public")
      // MAINTAIN came with 17.
      .map((grant) => ({ ...grant, privileges: grant.privileges.filter((privilege) => privilege !== "MAINTAIN") })),
    // NOT NULL is a row of pg_constraint from 18 on. Sizes differ by the page layout of the index types.
    tables: catalog.tables.map((table) => ({
      ...table,
      sizeBytes: 0,
      totalBytes: 0,
      constraints: table.constraints.filter(({ kind }) => kind !== "not null"),
      indexes: table.indexes.map((index) => ({ ...index, sizeBytes: 0 })),
    })),
    // They name constraints that servers name otherwise: NOT NULL, and foreign keys cloned for partitions.
    dependencies: [],
    // Before 16 columns of a single table are printed with its name.
    views: catalog.views.map((view) => ({
      ...view,
      definition: view.definition.replaceAll("orders.", "").replaceAll("shop.", ""),
      indexes: view.indexes.map((index) => ({ ...index, sizeBytes: 0 })),
    })),
    // Sequences of unlogged tables are unlogged from 15 on.
    sequences: catalog.sequences.map((sequence) => ({ ...sequence, persistence: "permanent" })),
  };
}

/** Runs on each version from its own on. */
const EXTRAS: readonly { readonly since: number; readonly sql: string; readonly check: (table: Table) => void }[] = [
  {
    since: 15,
    sql: `CREATE TABLE extra (a int, b int, UNIQUE NULLS NOT DISTINCT (a),
      FOREIGN KEY (a, b) REFERENCES parent ON DELETE SET NULL (b))`,
    check: (table) => {
      expect(table.indexes[0]?.nullsNotDistinct).toBe(true);
      expect(table.constraints.find(({ kind }) => kind === "foreign key")?.references?.onDeleteColumns).toEqual(["b"]);
    },
  },
];

let newest: Catalog;
beforeAll(async () => {
  await using database = await testDatabase({ setup });
  newest = await readCatalog(database);
});

test("the run's own server is PostgreSQL 18", () => {
  expect(Math.floor(newest.serverVersion / 10_000)).toBe(18);
  expect(newest.tables.length).toBeGreaterThan(10);
});

describe.each(majors)("PostgreSQL %i", (major) => {
  test("gives the same catalog as PostgreSQL 18, but for what it cannot say, and prints every kind", async () => {
    await using server = await startEmbeddedServer({ binaries: folderOf(major) });
    await using database = await openDatabase(server.url);
    await database.exec(setup);
    const catalog = await readCatalog(database);
    expect(Math.floor(catalog.serverVersion / 10_000)).toBe(major);
    expect(comparable(catalog)).toEqual(comparable(newest));
    expect(catalog.dependencies).not.toEqual([]);
    expect(await readCatalog(database)).toEqual(catalog);

    await database.exec("CREATE TABLE parent (a int, b int, PRIMARY KEY (a, b))");
    for (const { sql, check } of EXTRAS.filter(({ since }) => major >= since)) {
      await database.exec(sql);
      const extra = (await readCatalog(database)).tables.find(({ name }) => name === "extra");
      if (extra === undefined) throw new Error("the table extra was not read");
      check(extra);
      await database.exec("DROP TABLE extra");
    }

    const open = async (name: string): Promise<Database> => {
      await database.exec(`CREATE DATABASE ${name} TEMPLATE template0`);
      const url = new URL(server.url);
      url.pathname = `/${name}`;
      return openDatabase(url.href);
    };
    await using every = await open("every_kind");
    await every.exec(everyKind);
    const original = await readCatalog(every);
    expect(original.unknownObjects).toEqual([]);
    await using copy = await open("copy");
    await copy.exec(printCatalog(original));
    expect(compareCatalogs(original, await readCatalog(copy))).toEqual([]);

    // Who may create in public differs from 15 on, memberships from 16 on, MAINTAIN comes with 17.
    await using granted = await open("granted");
    await granted.exec(SETUP);
    await travelWithRoles(granted, namesToQuote(`PostgreSQL ${major}`));
  });
});
