import { and, desc, eq, gt, lt, sql } from "drizzle-orm";
import { integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory, type Page, type PageOptions, type UnitDatabase } from "../../src/session/index.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";

const agents = pgTable("agents", { id: integer().primaryKey(), name: text().notNull() });
const messages = pgTable("messages", {
  id: integer().primaryKey(),
  agent_id: integer().references(() => agents.id),
  rank: integer().notNull(),
  title: text(),
  created_at: timestamp({ withTimezone: true }).notNull(),
});
const logs = pgTable("logs", { body: text().notNull() });
const SETUP = `
CREATE TABLE agents (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE messages (id int PRIMARY KEY, agent_id int REFERENCES agents, rank int NOT NULL, title text, created_at timestamptz NOT NULL);
CREATE TABLE logs (body text NOT NULL);
INSERT INTO agents VALUES (1, 'ada'), (2, 'bob');
INSERT INTO messages SELECT n, CASE WHEN n % 5 > 0 THEN 1 + n % 2 END, n % 7, CASE WHEN n % 3 > 0 THEN 't' || n % 4 END,
  '2024-01-01 00:00:00+00'::timestamptz + (n / 10) * interval '1 microsecond' FROM generate_series(1, 100) AS n;
INSERT INTO logs VALUES ('a'), ('b'), ('b'), ('c');`;
const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";

describeDatabases((_, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    return {
      database,
      sessions: createSessionFactory(database, { guard: "off" }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };
  type Fixture = Awaited<ReturnType<typeof start>>;
  type Ask = (tx: UnitDatabase, options: Pick<PageOptions, "after" | "before">) => PromiseLike<Page<{ id: number }>>;

  /** All pages forwards, and the same ones backwards from the last. */
  const walk = async (fixture: Fixture, ask: Ask) => {
    const forwards: number[][] = [];
    const backwards: number[][] = [];
    await fixture.sessions.begin({}, async (tx) => {
      let page = await ask(tx, {});
      expect(page.hasPrevious).toBe(false);
      expect(page.previousCursor).toBeUndefined();
      for (;;) {
        forwards.push(page.rows.map(({ id }) => id));
        if (page.nextCursor === undefined) break;
        page = await ask(tx, { after: page.nextCursor });
        expect(page.hasPrevious).toBe(true);
      }
      expect(page.hasNext).toBe(false);
      for (;;) {
        backwards.unshift(page.rows.map(({ id }) => id));
        if (page.previousCursor === undefined) break;
        page = await ask(tx, { before: page.previousCursor });
        expect(page.hasNext).toBe(true);
      }
    });
    return { forwards, backwards };
  };
  const ids = async (fixture: Fixture, order: string) =>
    (await fixture.database.query<{ id: number }>(`SELECT id FROM messages ORDER BY ${order}`)).rows.map(
      ({ id }) => id,
    );

  test.each([
    ["created_at, id", [{ column: messages.created_at }]],
    ["created_at DESC, id DESC", [{ column: messages.created_at, direction: "desc" }]],
    [
      "rank DESC, id ASC",
      [
        { column: messages.rank, direction: "desc" },
        { column: messages.id, direction: "asc" },
      ],
    ],
    ["rank, created_at DESC, id DESC", [messages.rank, { column: messages.created_at, direction: "desc" }]],
    [
      "rank DESC, created_at, id DESC",
      [
        { column: messages.rank, direction: "desc" },
        { column: messages.created_at },
        { column: messages.id, direction: "desc" },
      ],
    ],
    ["coalesce(title, ''), id", [{ column: sql`coalesce(${messages.title}, '')` }]],
    ["id", undefined],
  ] as const)("ordered by %s, no row is lost or twice, forwards and backwards", async (order, orderBy) => {
    await using fixture = await start();
    for (const limit of [1, 7, 50, 100, 101]) {
      const { forwards, backwards } = await walk(fixture, (tx, options) =>
        tx.page(messages, { ...options, limit, ...(orderBy === undefined ? {} : { orderBy }) }),
      );
      expect(forwards.flat()).toEqual(await ids(fixture, order));
      expect(forwards.slice(0, -1).every((page) => page.length === limit)).toBe(true);
      expect(backwards.flat()).toEqual(forwards.flat());
    }
  });

  test("microseconds that a JavaScript Date does not hold separate pages all the same", async () => {
    await using fixture = await start();
    const { forwards } = await walk(fixture, (tx, options) =>
      tx.page(tx.select().from(messages), {
        ...options,
        limit: 4,
        orderBy: { column: messages.created_at, direction: "desc" },
      }),
    );
    expect(new Set(forwards.flat()).size).toBe(100);
  });

  test("a select with a condition and a join is paged with its own row type", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const query = () =>
        tx
          .select({ id: messages.id, who: agents.name })
          .from(messages)
          .innerJoin(agents, eq(agents.id, messages.agent_id))
          .where(gt(messages.id, 50));
      const page = await tx.page(query(), { orderBy: agents.name, limit: 3, total: "exact" });
      expectTypeOf(page.rows).toEqualTypeOf<{ id: number; who: string }[]>();
      expect(page).toMatchObject({
        rows: [
          { id: 52, who: "ada" },
          { id: 54, who: "ada" },
          { id: 56, who: "ada" },
        ],
        total: 40,
      });
      const next = await tx.page(query(), {
        orderBy: agents.name,
        limit: 3,
        after: page.nextCursor,
        total: "estimated",
      });
      expect(next.rows.map(({ id }) => id)).toEqual([58, 62, 64]);
      expect(next.total).toBeTypeOf("number");
    });
    const { forwards } = await walk(fixture, (tx, options) =>
      tx.page(
        tx
          .select({ id: messages.id, name: agents.name })
          .from(messages)
          .leftJoin(agents, eq(agents.id, messages.agent_id)),
        {
          ...options,
          orderBy: messages.rank,
          limit: 9,
        },
      ),
    );
    expect(forwards.flat()).toEqual(await ids(fixture, "rank, id"));
  });

  test("page is a declared query too, in one flush with its total", async () => {
    await using fixture = await start();
    const [first, all] = await fixture.sessions.read({}, (tx) => [
      tx.page(messages, { limit: 2, total: "exact", where: lt(messages.id, 10) }),
      tx.offsetPage(messages, { page: 2, pageSize: 4, where: lt(messages.id, 10) }),
    ]);
    expect(first).toMatchObject({ rows: [{ id: 1 }, { id: 2 }], hasNext: true, hasPrevious: false, total: 9 });
    expect(all).toMatchObject({ page: 2, total: 9, pageCount: 3, hasNext: true, hasPrevious: true });
    expect(all.rows.map(({ id }) => id)).toEqual([5, 6, 7, 8]);
  });

  test("a page after the last row is empty and leads back", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const last = await tx.page(messages, { limit: 99 });
      await tx.delete(messages).where(eq(messages.id, 100));
      const empty = await tx.page(messages, { limit: 3, after: last.nextCursor });
      expect(empty).toMatchObject({ rows: [], hasNext: false, hasPrevious: true, nextCursor: undefined });
      const back = await tx.page(messages, { limit: 3, before: empty.previousCursor });
      expect(back.rows.map(({ id }) => id)).toEqual([97, 98, 99]);
      await tx.delete(messages);
      expect(await tx.page(messages, { limit: 3 })).toMatchObject({
        rows: [],
        hasNext: false,
        hasPrevious: false,
        nextCursor: undefined,
        previousCursor: undefined,
      });
    });
  });

  test("a cursor that was changed, or belongs to another query, order or tenant, is refused", async () => {
    await using fixture = await start();
    const ask = (tenantId: string, options: Partial<PageOptions> & { where?: ReturnType<typeof eq> }) =>
      fixture.sessions.run({ tenantId }, (tx) => tx.page(messages, { limit: 5, orderBy: messages.rank, ...options }));
    const { nextCursor: cursor = "" } = await ask(A, {});
    expect((await ask(A, { after: cursor })).rows).toHaveLength(5);
    expect((await ask(A, { after: cursor, limit: 9 })).rows).toHaveLength(9);
    const bad = { code: "INVALID_INPUT" };
    for (let at = 0; at < cursor.length; at++) {
      const changed = cursor.slice(0, at) + (cursor[at] === "A" ? "B" : "A") + cursor.slice(at + 1);
      await expect(ask(A, { after: changed })).rejects.toMatchObject(bad);
    }
    await expect(ask(B, { after: cursor })).rejects.toMatchObject(bad);
    await expect(ask(A, { after: cursor, orderBy: messages.created_at })).rejects.toMatchObject(bad);
    await expect(
      ask(A, { after: cursor, orderBy: { column: messages.rank, direction: "desc" } }),
    ).rejects.toMatchObject(bad);
    await expect(ask(A, { after: cursor, where: eq(messages.rank, 1) })).rejects.toMatchObject(bad);
    expect((await ask(A, { after: null, before: null })).rows).toHaveLength(5);
    for (const wrong of ["", "x", `${cursor} `, `${cursor}=`, 5 as never]) {
      await expect(ask(A, { after: wrong })).rejects.toMatchObject(bad);
    }
    const { nextCursor: narrow } = await ask(A, { where: lt(messages.id, 90) });
    await expect(ask(A, { after: narrow, where: lt(messages.id, 91) })).rejects.toMatchObject(bad);
    expect(Buffer.from(cursor, "base64url").toString("latin1")).not.toContain(A);
  });

  test("cursors hold for another factory with the same key, and not for another key", async () => {
    await using fixture = await start();
    const factory = (cursorKey: string) => createSessionFactory(fixture.database, { guard: "off", cursorKey });
    const key = "0123456789abcdef";
    const { nextCursor } = await factory(key).run({}, (tx) => tx.page(messages, { limit: 5 }));
    expect((await factory(key).run({}, (tx) => tx.page(messages, { limit: 5, after: nextCursor }))).rows[0]?.id).toBe(
      6,
    );
    await expect(
      factory(`${key}!`).run({}, (tx) => tx.page(messages, { limit: 5, after: nextCursor })),
    ).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(() => factory("short")).toThrow("16 bytes");
  });

  test("orders that would lose rows are refused with the way out", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const bad = { code: "INVALID_INPUT" };
      const page = (query: Parameters<typeof tx.page>[0], options: Partial<PageOptions> = {}) =>
        tx.page(query, { limit: 5, ...options });
      await expect(page(messages, { orderBy: messages.title })).rejects.toMatchObject({
        ...bad,
        hint: expect.stringContaining("coalesce"),
      });
      await expect(page(messages, { orderBy: sql`${messages.title} || 'x'` })).resolves.toBeDefined();
      await expect(
        page(messages, { orderBy: { column: sql`nullif(${messages.rank}, 3)`, direction: "desc" } }),
      ).rejects.toMatchObject(bad);
      const left = tx.select({ id: messages.id }).from(messages).leftJoin(agents, eq(agents.id, messages.agent_id));
      await expect(page(left, { orderBy: agents.name })).rejects.toMatchObject(bad);
      await expect(page(logs)).rejects.toMatchObject({ ...bad, hint: expect.stringContaining("tieBreaker") });
      await expect(page(tx.select().from(messages).orderBy(messages.id))).rejects.toMatchObject(bad);
      await expect(page(tx.select().from(messages).limit(3))).rejects.toMatchObject(bad);
      await expect(page(tx.selectDistinct().from(messages))).rejects.toMatchObject(bad);
      await expect(page(messages, { limit: 0 })).rejects.toMatchObject(bad);
      await expect(page(messages, { limit: 1e9 })).rejects.toMatchObject(bad);
      await expect(page(messages, { after: "a", before: "b" })).rejects.toMatchObject(bad);
      await expect(page(messages, { total: "maybe" as never })).rejects.toMatchObject(bad);
      await expect(page(messages, { orderBy: "rank" as never })).rejects.toMatchObject(bad);
      await expect(
        page(messages, { orderBy: { column: messages.rank, direction: "up" as never } }),
      ).rejects.toMatchObject(bad);
      await expect(tx.page(5 as never, { limit: 5 })).rejects.toMatchObject(bad);
      await expect(tx.offsetPage(messages, { page: 0, pageSize: 5 })).rejects.toMatchObject(bad);
      expect(await tx.page(messages, { limit: 1 })).toMatchObject({ rows: [{ id: 1 }] });
    });
  });

  test("a subquery is paged by what the caller says is unique", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const ranks = tx
        .select({ rank: messages.rank, id: sql<number>`count(*)::int`.as("id") })
        .from(messages)
        .groupBy(messages.rank)
        .as("ranks");
      const query = () => tx.select().from(ranks);
      const first = await tx.page(query(), { tieBreaker: ranks.rank, limit: 4 });
      const second = await tx.page(query(), { tieBreaker: ranks.rank, limit: 4, after: first.nextCursor });
      expect([...first.rows, ...second.rows].map(({ rank }) => rank)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    });
  });

  test("offset pages: exact, estimated and no total, and queries that cannot be paged by position", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      await tx.execute(sql`ANALYZE messages`);
      const page = (total: "exact" | "estimated" | "none") =>
        tx.offsetPage(tx.select().from(messages), {
          page: 13,
          pageSize: 8,
          total,
          orderBy: { column: messages.rank, direction: "desc" },
        });
      expect(await page("exact")).toMatchObject({ total: 100, pageCount: 13, hasNext: false });
      expect((await page("exact")).rows).toHaveLength(4);
      expect(await page("estimated")).toMatchObject({ total: 100 });
      expect(await page("none")).toMatchObject({ total: undefined, pageCount: undefined });
      expect(await tx.offsetPage(messages, { page: 99, pageSize: 8 })).toMatchObject({
        rows: [],
        total: 100,
        hasNext: false,
      });
      const grouped = tx
        .select({ rank: messages.rank, n: sql<number>`count(*)::int` })
        .from(messages)
        .groupBy(messages.rank)
        .orderBy(desc(messages.rank));
      expect(await tx.offsetPage(grouped, { page: 2, pageSize: 3 })).toMatchObject({
        rows: [{ rank: 3 }, { rank: 2 }, { rank: 1 }],
        total: 7,
        pageCount: 3,
      });
      const united = tx
        .select({ id: messages.id })
        .from(messages)
        .where(lt(messages.id, 3))
        .union(tx.select({ id: agents.id }).from(agents));
      expect((await tx.offsetPage(united, { page: 1, pageSize: 9 })).total).toBe(2);
    });
  });
});

test("page 10,000 of 200,000 rows reads no more than 1.5 times the buffers of page 1", async () => {
  await using database = await testDatabase({
    setup: `CREATE TABLE messages (id int PRIMARY KEY, agent_id int, rank int NOT NULL, title text, created_at timestamptz NOT NULL);
      INSERT INTO messages SELECT n, 1, n % 10, NULL, now() + (n / 3) * interval '1 ms' FROM generate_series(1, 200000) AS n;
      CREATE INDEX ON messages (created_at, id); CREATE INDEX ON messages (created_at DESC, id);`,
  });
  await database.exec("VACUUM ANALYZE messages");
  const statements: { text: string; values?: readonly unknown[] | undefined }[] = [];
  const sessions = createSessionFactory(database, {
    guard: "off",
    observers: [{ flushed: (record) => void statements.push(...record.statements.map(({ statement }) => statement)) }],
  });
  const buffers = async (): Promise<number> => {
    const { text, values } = statements.at(-1) ?? { text: "" };
    const { rows } = await database.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values);
    const [{ Plan: plan }] = Object.values(rows[0] ?? {})[0] as [{ Plan: Record<string, number> }];
    return (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0);
  };
  for (const orderBy of [
    [messages.created_at],
    [{ column: messages.created_at, direction: "desc" as const }],
    [{ column: messages.created_at, direction: "desc" as const }, messages.id],
  ]) {
    const ask = (options: Partial<PageOptions>) =>
      sessions.run({}, (tx) => tx.page(messages, { orderBy, limit: 20, ...options }));
    await ask({});
    const first = await buffers();
    // The row before page 10,000 is found by its number once, as a client would have come to it page by page.
    const { nextCursor } = await ask({ limit: 9_999 });
    let cursor = nextCursor;
    for (let page = 0; page < 19; page++) cursor = (await ask({ limit: 9_999, after: cursor })).nextCursor;
    const deep = await ask({ after: cursor });
    expect(deep).toMatchObject({ hasNext: false, rows: { length: 20 } });
    expect(await buffers()).toBeLessThanOrEqual(first * 1.5);
  }
});

test("text of a collation for which different strings can be equal is paged without loss", async () => {
  await using database = await testDatabase({
    setup: `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE agents (id int PRIMARY KEY, name text NOT NULL COLLATE loose);
      INSERT INTO agents SELECT n, CASE n % 3 WHEN 0 THEN 'ada' WHEN 1 THEN 'ADA' ELSE 'Bob' END FROM generate_series(1, 30) AS n;`,
  });
  const sessions = createSessionFactory(database, { guard: "off" });
  const seen: number[] = [];
  await sessions.begin({}, async (tx) => {
    let after: string | undefined;
    do {
      const page = await tx.page(agents, { orderBy: agents.name, limit: 4, after, where: and(gt(agents.id, 0)) });
      seen.push(...page.rows.map(({ id }) => id));
      after = page.nextCursor;
    } while (after !== undefined);
  });
  expect(seen).toHaveLength(30);
  expect(new Set(seen).size).toBe(30);
});
