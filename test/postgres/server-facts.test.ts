import { expect, inject, test } from "vitest";
import { openDatabase } from "../../src/postgres/index.ts";
import { readServerFacts } from "../../src/postgres/server-facts.ts";
import { describeDatabases, runOnServer, testDatabase } from "../support/test-database.ts";

describeDatabases((kind, open) => {
  test("the facts name version, database, extensions and what a superuser may do", async () => {
    await using database = await open({
      setup: `CREATE SCHEMA "Odd ""one"; CREATE EXTENSION citext SCHEMA "Odd ""one"`,
    });
    await using connection = await database.connect();
    const facts = await readServerFacts(connection);
    expect(facts).toMatchObject({
      kind,
      role: "primary",
      behindPooler: false,
      rights: {
        isSuperuser: true,
        bypassesRowSecurity: true,
        canCreateDatabase: true,
        canCreateRole: true,
        canCreateSchema: true,
      },
    });
    expect(facts.version.number).toBeGreaterThanOrEqual(180_000);
    expect(facts.version.text).toMatch(/^18\.\d+$/);
    expect(facts.extensions).toContainEqual({
      name: "citext",
      schema: 'Odd "one',
      version: expect.stringMatching(/^1\./) as string,
    });
  });
});

test("a login without rights can read the facts, and they say what it may not do", async () => {
  const serverUrl = inject("serverUrl");
  const user = `facts_reader_${process.pid}`;
  await using database = await testDatabase();
  await runOnServer(serverUrl, `CREATE ROLE ${user} LOGIN PASSWORD 'secret'`);
  try {
    const url = new URL(database.url);
    url.username = user;
    url.password = "secret";
    await using login = await openDatabase(url.href);
    const { rights, databaseName } = await login.serverFacts();
    expect(databaseName).toBe(url.pathname.slice(1));
    expect(rights).toEqual({
      user,
      isSuperuser: false,
      bypassesRowSecurity: false,
      canCreateDatabase: false,
      canCreateRole: false,
      canCreateSchema: false,
    });
  } finally {
    await database.exec(`DROP OWNED BY ${user}`);
    await runOnServer(serverUrl, `DROP ROLE ${user}`);
  }
});

test("a process id that differs from the announced one means a pooler", async () => {
  await using database = await testDatabase();
  await using connection = await database.connect();
  const client = connection.client as unknown as { processID: number };
  const announced = client.processID;
  client.processID = announced + 1;
  expect((await readServerFacts(connection)).behindPooler).toBe(true);
  client.processID = announced;
  expect((await readServerFacts(connection)).behindPooler).toBe(false);
});
