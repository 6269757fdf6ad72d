import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { gt, sql } from "drizzle-orm";
import { integer, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { testDatabase, testPglite } from "../support/test-database.ts";

const events = pgTable("events", { id: integer().primaryKey(), body: text() });
const copies = pgTable("copies", { id: integer().primaryKey(), body: text() });
const notes = pgTable("notes", { id: integer().primaryKey(), tenant_id: uuid().notNull() });
const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";
const SETUP = `
CREATE TABLE events (id int PRIMARY KEY, body text);
CREATE TABLE copies (id int PRIMARY KEY, body text);
CREATE TABLE notes (id int PRIMARY KEY, tenant_id uuid NOT NULL);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
DO $$ BEGIN CREATE ROLE copy_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT, INSERT ON notes TO copy_test_app;`;

const start = async () => {
  const database = await testDatabase({ setup: SETUP });
  return {
    database,
    sessions: createSessionFactory(database, { guard: "off" }),
    [Symbol.asyncDispose]: () => database.close(),
  };
};
const textOf = async (source: AsyncIterable<Buffer>): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
};

test("text and CSV go in from any iterable, and come out as they were", async () => {
  await using fixture = await start();
  await fixture.sessions.begin({}, async (tx) => {
    expect(await tx.copyIn(events, ["id", events.body], ["1\ta\\n", "b\n2\t\\", "N\n"])).toBe(2);
    const csv = Readable.from([Buffer.from('number,words\n3,"x,y"\n4,')]);
    expect(await tx.copyIn(events, undefined, csv, { format: "csv", header: true })).toBe(2);
    expect(await tx.select().from(events).orderBy(events.id)).toEqual([
      { id: 1, body: "a\nb" },
      { id: 2, body: null },
      { id: 3, body: "x,y" },
      { id: 4, body: null },
    ]);
    const out = await textOf(
      tx.copyOut(sql`SELECT id, body FROM events ORDER BY id`, {
        format: "csv",
        header: true,
        delimiter: ";",
        null: "-",
      }),
    );
    expect(out).toBe('id;body\n1;"a\nb"\n2;-\n3;x,y\n4;-\n');
    expect(await tx.copyIn(events, undefined, [])).toBe(0);
  });
});

test("binary passes from one table to another", async () => {
  await using fixture = await start();
  await fixture.database.exec("INSERT INTO events SELECT n, repeat('x', n % 50) FROM generate_series(1, 20000) AS n");
  const parts: Buffer[] = [];
  await fixture.sessions.begin({}, async (tx) => {
    await pipeline(tx.copyOut(events, { format: "binary" }), async (source: AsyncIterable<Buffer>) => {
      for await (const part of source) parts.push(part);
    });
    expect(await tx.copyIn(copies, undefined, Readable.from(parts), { format: "binary" })).toBe(20_000);
  });
  const { rows } = await fixture.database.query("SELECT count(*)::int AS n FROM events JOIN copies USING (id, body)");
  expect(rows).toEqual([{ n: 20_000 }]);
});

test("a query's values stay values", async () => {
  await using fixture = await start();
  await fixture.sessions.begin({}, async (tx) => {
    await tx.insert(events).values([
      { id: 1, body: "it's \\ here" },
      { id: 2, body: "$1" },
    ]);
    const query = tx.select({ body: events.body }).from(events).where(gt(events.id, 0)).orderBy(events.id).limit(5);
    expect(await textOf(tx.copyOut(query))).toBe("it's \\\\ here\n$1\n");
    const attempt = "x'; DROP TABLE events; --";
    expect(
      await textOf(tx.copyOut(sql`SELECT id FROM events WHERE body = ${attempt} OR body = ${"it's \\ here"}`)),
    ).toBe("1\n");
    await expect(tx.copyOut(sql`SELECT ${"a\0b"}`).next()).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });
});

test("a refused row is named, nothing stays, and the unit goes on", async () => {
  await using fixture = await start();
  await fixture.sessions.begin({}, async (tx) => {
    await tx.insert(events).values({ id: 100 });
    await expect(tx.copyIn(events, ["id", "body"], ["1\ta\n2\tb\n", "x\tc\n"])).rejects.toMatchObject({
      code: "INVALID_VALUE",
      rowIndex: 2,
    });
    await expect(tx.copyIn(events, ["id", "body"], ["1\ta\n100\tb\n"])).rejects.toMatchObject({
      code: "UNIQUE_VIOLATION",
      rowIndex: 1,
    });
    await expect(tx.copyIn(events, ["id"], ["id\n1\n2\tb\n"], { format: "csv", header: true })).rejects.toMatchObject({
      message: expect.stringContaining("line 3"),
    });
    expect(await tx.select().from(events)).toEqual([{ id: 100, body: null }]);
  });
  expect(fixture.database.poolFigures().total - fixture.database.poolFigures().idle).toBe(0);
});

test("a source that fails reaches its caller as it is, and one that is too long for the server's patience is let go", async () => {
  await using fixture = await start();
  const failure = new Error("the disk is gone");
  let isClosed = false;
  async function* broken() {
    yield "1\ta\n";
    await Promise.resolve();
    throw failure;
  }
  async function* endless() {
    try {
      for (;;) {
        yield `bad row ${"x".repeat(70_000)}\n`;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } finally {
      isClosed = true;
    }
  }
  await fixture.sessions.begin({}, async (tx) => {
    await expect(tx.copyIn(events, undefined, broken())).rejects.toBe(failure);
    await expect(tx.copyIn(events, undefined, endless())).rejects.toMatchObject({ code: "INVALID_VALUE" });
    await expect(tx.copyIn(events, undefined, [5 as never])).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(await tx.$count(events)).toBe(0);
  });
  expect(isClosed).toBe(true);
});

test("a source that uses the same unit is refused instead of waiting for ever", async () => {
  await using fixture = await start();
  await fixture.sessions.begin({}, async (tx) => {
    async function* own() {
      yield "1\ta\n";
      await tx.select().from(events);
    }
    await expect(tx.copyIn(events, undefined, own())).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(await tx.$count(events)).toBe(0);
  });
});

test("leaving copyOut early stops the server, and statements inside its loop are refused", async () => {
  await using fixture = await start();
  await fixture.sessions.begin({}, async (tx) => {
    const rows = tx.copyOut(sql`SELECT generate_series(1, 50000000), repeat('x', 100)`);
    for await (const part of rows) {
      expect(part.length).toBeGreaterThan(0);
      await expect(tx.select().from(events)).rejects.toMatchObject({ code: "INVALID_INPUT" });
      break;
    }
    await tx.insert(events).values({ id: 1 });
    await expect(textOf(tx.copyOut(sql`SELECT 1 / 0`))).rejects.toMatchObject({ sqlState: "22012" });
    await tx.insert(events).values({ id: 2 });
    await tx.copyOut(sql`SELECT generate_series(1, 50000000)`).next(); // never read to its end
  });
  expect((await fixture.database.query("SELECT id FROM events")).rows).toHaveLength(2);
});

test("an abort ends a COPY in either direction", async () => {
  await using fixture = await start();
  for (const direction of ["in", "out"]) {
    const controller = new AbortController();
    async function* slow() {
      yield "1\ta\n";
      controller.abort();
      await new Promise(() => undefined);
    }
    const work = fixture.sessions.begin(
      {},
      async (tx) => {
        if (direction === "in") return tx.copyIn(events, undefined, slow());
        for await (const part of tx.copyOut(sql`SELECT generate_series(1, 50000000)`)) controller.abort(part);
        return 0;
      },
      { signal: controller.signal },
    );
    await expect(work).rejects.toMatchObject({ code: "CANCELLED" });
  }
  await expect.poll(() => fixture.database.poolFigures().total - fixture.database.poolFigures().idle).toBe(0);
});

test("row-level security holds for rows that are copied in", async () => {
  await using fixture = await start();
  const sessions = createSessionFactory(fixture.database, { guard: "off", role: "copy_test_app" });
  await sessions.begin({ tenantId: A }, async (tx) => {
    expect(await tx.copyIn(notes, ["id", "tenant_id"], [`1\t${A}\n2\t${A}\n`])).toBe(2);
    await expect(tx.copyIn(notes, ["id", "tenant_id"], [`3\t${B}\n`])).rejects.toMatchObject({
      code: "INSUFFICIENT_PRIVILEGE",
    });
    expect(await textOf(tx.copyOut(notes))).toBe(`1\t${A}\n2\t${A}\n`);
  });
});

test("wrong columns, formats and sources are refused before anything is sent", async () => {
  await using fixture = await start();
  await fixture.sessions.begin({}, async (tx) => {
    const bad = { code: "INVALID_INPUT" };
    await expect(tx.copyIn(events, ["nothing" as never], [])).rejects.toMatchObject(bad);
    await expect(tx.copyIn(events, [], [])).rejects.toMatchObject(bad);
    await expect(tx.copyIn(events, ["id"], [], { format: "xml" as never })).rejects.toMatchObject(bad);
    await expect(tx.copyIn(events, ["id"], 5 as never)).rejects.toMatchObject(bad);
    await expect(tx.copyOut("events" as never).next()).rejects.toMatchObject(bad);
    expect(await tx.$count(events)).toBe(0);
  });
});

test("the embedded database refuses every COPY before it is sent, and lives on", async () => {
  await using database = await testPglite({ setup: "CREATE TABLE events (id int PRIMARY KEY, body text)" });
  const sessions = createSessionFactory(database, { guard: "off" });
  await sessions.begin({}, async (tx) => {
    const bad = { code: "INVALID_INPUT" };
    await expect(tx.copyIn(events, undefined, ["1\ta\n"])).rejects.toMatchObject(bad);
    await expect(tx.copyOut(events).next()).rejects.toMatchObject(bad);
    await expect(tx.execute(sql`COPY events FROM STDIN`)).rejects.toMatchObject(bad);
    await expect(tx.execute(sql`/* all */ copy events TO STDOUT`)).rejects.toMatchObject(bad);
    await tx.insert(events).values({ id: 1, body: "from stdin" });
  });
  await expect(database.exec("SELECT 1; COPY events FROM STDIN;")).rejects.toMatchObject({ code: "INVALID_INPUT" });
  await database.exec("INSERT INTO events VALUES (2, '; COPY events FROM STDIN')");
  expect((await database.query("SELECT id FROM events")).rows).toHaveLength(2);
});
