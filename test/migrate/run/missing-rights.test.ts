// What a login lacks to run migrations, said as the GRANT that gives it.
import { expect, inject, test } from "vitest";
import { parseMigration, runMigrations } from "../../../src/migrate/index.ts";
import { InsufficientPrivilegeError, openDatabase } from "../../../src/postgres/index.ts";
import { askedRights } from "../../../src/migrate/run/asked-rights.ts";
import { missingGrant } from "../../../src/migrate/run/missing-grant.ts";
import { parseSqlScript } from "../../../src/migrate/sql-script.ts";
import { failureOf } from "../../support/failure-of.ts";
import { runOnServer, testDatabase } from "../../support/test-database.ts";

const migration = (file: string, up: string) => parseMigration(file, `-- migrate:up\n${up}\n`);

test("rights that are missing are named as the GRANT that gives them", async () => {
  await using database = await testDatabase({
    setup: `CREATE SCHEMA shop; CREATE TABLE shop.items (id int PRIMARY KEY); CREATE TABLE public.orders (id int);
CREATE SEQUENCE shop.numbers; CREATE TYPE shop.mood AS ENUM ('calm'); CREATE VIEW shop.ids AS SELECT id FROM shop.items;
CREATE FUNCTION shop.twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; REVOKE EXECUTE ON FUNCTION shop.twice FROM PUBLIC;
CREATE FUNCTION shop.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON shop.items FOR EACH ROW EXECUTE FUNCTION shop.fire();
REVOKE CREATE ON SCHEMA public FROM PUBLIC;`,
  });
  const role = `plain_${process.pid}`;
  const { pathname } = new URL(database.url);
  await runOnServer(inject("serverUrl"), `CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
  try {
    const url = new URL(database.url);
    url.username = role;
    url.password = "x";
    await using plain = await openDatabase({ url: url.href });
    const hintOf = async (sql: string): Promise<string | undefined> => {
      const error = await failureOf(runMigrations(plain, [migration("1_a.sql", sql)]));
      expect(error).toBeInstanceOf(InsufficientPrivilegeError);
      const hint = (error as InsufficientPrivilegeError).hint?.split("; nothing of")[0];
      // A server that speaks another language says the same in words that are not understood. Of SELECT 1 it is about the history.
      const asked = sql === "SELECT 1;" ? undefined : (await parseSqlScript(sql, "1_a.sql")).statements.at(-1);
      expect(asked === undefined ? hint : await missingGrant(plain, "keine Berechtigung", askedRights(asked))).toBe(
        hint,
      );
      return hint;
    };
    expect(await hintOf("SELECT 1;")).toBe(`GRANT CREATE ON DATABASE "${pathname.slice(1)}" TO "${role}"`);
    await runMigrations(database, []);
    await database.exec(`GRANT USAGE ON SCHEMA pgsteward TO ${role}`);
    expect(await hintOf("SELECT 1;")).toBe(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON "pgsteward"."schema_migrations" TO "${role}"`,
    );
    await database.exec(`DROP TABLE pgsteward.schema_migrations`);
    expect(await hintOf("SELECT 1;")).toBe(`GRANT USAGE, CREATE ON SCHEMA "pgsteward" TO "${role}"`);
    await database.exec(`DROP SCHEMA pgsteward CASCADE; GRANT CREATE ON DATABASE "${pathname.slice(1)}" TO ${role}`);
    const owner = (await database.query<{ role: string }>("SELECT current_user::text AS role")).rows[0]?.role ?? "";
    expect(await hintOf("CREATE TABLE shop.new ();")).toBe(`GRANT USAGE, CREATE ON SCHEMA "shop" TO "${role}"`);
    await database.exec(`GRANT USAGE ON SCHEMA shop TO ${role}`);
    expect(await hintOf("CREATE TABLE shop.new ();")).toBe(`GRANT CREATE ON SCHEMA "shop" TO "${role}"`);
    expect(await hintOf("ALTER TABLE shop.items ADD COLUMN a int;")).toBe(
      `GRANT "${owner}" TO "${role}", or run the migrations as ${owner}`,
    );
    expect(await hintOf("CREATE SCHEMA mine; CREATE TABLE mine.t (i int REFERENCES shop.items);")).toBe(
      `GRANT REFERENCES ON "shop"."items" TO "${role}"`,
    );
    expect(await hintOf("UPDATE orders SET id = id + 1;")).toBe(
      `GRANT UPDATE, SELECT ON "public"."orders" TO "${role}"`,
    );
    expect(await hintOf("CREATE ROLE nobody;")).toBe(`ALTER ROLE "${role}" CREATEROLE`);
    expect(await hintOf(`SET ROLE "${owner}";`)).toBe(`GRANT "${owner}" TO "${role}"`);
    expect(await hintOf("CREATE EXTENSION file_fdw;")).toMatch(/GRANT CREATE ON DATABASE .* trusted extension/);
    const asOwner = `GRANT "${owner}" TO "${role}", or run the migrations as ${owner}`;
    for (const sql of [
      "DROP TABLE shop.items;",
      "DROP TRIGGER touch ON shop.items;",
      "DROP FUNCTION shop.twice(int);",
      "DROP SCHEMA shop CASCADE;",
      "CREATE INDEX ON shop.items (id);",
      "CREATE POLICY mine ON shop.items USING (true);",
      "COMMENT ON COLUMN shop.items.id IS 'a';",
      "COMMENT ON VIEW shop.ids IS 'a';",
      "ALTER TABLE shop.items RENAME COLUMN id TO number;",
      "ALTER VIEW shop.ids RENAME TO numbers;",
      "ALTER TYPE shop.mood ADD VALUE 'busy';",
      "ALTER FUNCTION shop.twice(int) IMMUTABLE;",
      "ALTER SEQUENCE shop.numbers INCREMENT 2;",
      "ALTER SCHEMA shop OWNER TO CURRENT_USER;",
    ])
      expect([sql, await hintOf(sql)]).toEqual([sql, asOwner]);
    const to = `TO "${role}"`;
    for (const [sql, grant] of [
      ["SELECT id FROM shop.ids;", `GRANT SELECT ON "shop"."ids" ${to}`],
      ["INSERT INTO shop.items VALUES (1);", `GRANT INSERT ON "shop"."items" ${to}`],
      ["DELETE FROM orders;", `GRANT DELETE ON "public"."orders" ${to}`],
      [
        "WITH a AS (SELECT 1 AS id) SELECT o.id FROM a JOIN orders AS o USING (id);",
        `GRANT SELECT ON "public"."orders" ${to}`,
      ],
      ["TRUNCATE orders;", `GRANT TRUNCATE ON "public"."orders" ${to}`],
      [
        "CREATE TRIGGER more BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION shop.fire();",
        `GRANT TRIGGER ON "public"."orders" ${to}`,
      ],
      ["SELECT nextval('shop.numbers');", `GRANT USAGE, SELECT, UPDATE ON SEQUENCE "shop"."numbers" ${to}`],
      ["SELECT shop.twice(2);", `GRANT EXECUTE ON FUNCTION shop.twice(integer) ${to}`],
      ["CREATE VIEW mine AS SELECT 1;", `GRANT CREATE ON SCHEMA "public" ${to}`],
      ["CREATE TYPE shop.other AS ENUM ();", `GRANT CREATE ON SCHEMA "shop" ${to}`],
      ["CREATE FUNCTION shop.more() RETURNS int LANGUAGE sql AS 'SELECT 1';", `GRANT CREATE ON SCHEMA "shop" ${to}`],
    ] as const)
      expect([sql, await hintOf(sql)]).toEqual([sql, grant]);
  } finally {
    await runOnServer(database.url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

test("a login whose transactions are read-only is told how it may write; its time limits do not end a migration", async () => {
  await using database = await testDatabase();
  const role = `limited_${process.pid}`;
  await runOnServer(
    inject("serverUrl"),
    `CREATE ROLE ${role} LOGIN PASSWORD 'x'; ALTER ROLE ${role} SET default_transaction_read_only = on;
     ALTER ROLE ${role} SET statement_timeout = '1s'; ALTER ROLE ${role} SET idle_in_transaction_session_timeout = '1s';
     ALTER ROLE ${role} SET default_transaction_isolation = 'serializable'`,
  );
  try {
    await database.exec(`GRANT CREATE ON DATABASE ${new URL(database.url).pathname.slice(1)} TO ${role}`);
    const url = new URL(database.url);
    url.username = role;
    url.password = "x";
    const files = [migration("1_a.sql", "CREATE SCHEMA shop;\nSELECT pg_sleep(1.2);")];
    {
      await using limited = await openDatabase({ url: url.href });
      await expect(runMigrations(limited, files)).rejects.toMatchObject({
        code: "READ_ONLY",
        hint: expect.stringContaining(`ALTER ROLE "${role}" SET default_transaction_read_only = off`) as unknown,
      });
    }
    await runOnServer(inject("serverUrl"), `ALTER ROLE ${role} SET default_transaction_read_only = off`);
    await using limited = await openDatabase({ url: url.href });
    expect((await runMigrations(limited, files)).done).toHaveLength(1);
  } finally {
    await database.exec(`DROP OWNED BY ${role} CASCADE`);
    await runOnServer(inject("serverUrl"), `DROP ROLE ${role}`);
  }
});
