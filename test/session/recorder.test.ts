import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import {
  createRecorder,
  createRecorderTables,
  createSessionFactory,
  type RecorderOptions,
  type RepeatedNotice,
} from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases, testDatabase, type TestDatabase } from "../support/test-database.ts";

const users = pgTable("users", { id: integer().primaryKey(), email: text().notNull() });
const posts = pgTable("posts", { id: integer().primaryKey(), user_id: integer().notNull(), body: text() });

const SETUP = `
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL);
CREATE TABLE posts (id int PRIMARY KEY, user_id int NOT NULL, body text);
INSERT INTO users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, 30) AS n;
INSERT INTO posts SELECT n, n % 30 + 1, 'post ' || n FROM generate_series(1, 60) AS n;
DROP SCHEMA IF EXISTS pgsteward CASCADE;`;

/** Each makes a shape of its own; names of output columns do not. */
const FUNCTIONS =
  "abs sign sqrt exp ln ceil floor round trunc cbrt sin cos tan atan degrees radians float8 chr int8 float4".split(" ");

test("COPY in both directions is recorded with its rows, and with its failure", async () => {
  await using database = await testDatabase({ setup: SETUP });
  const recorder = createRecorder({ flushIntervalMs: 0 });
  const sessions = createSessionFactory(database, { guard: "off", observers: [recorder] });
  await sessions.begin({}, async (tx) => {
    expect(await tx.copyIn(users, ["id", "email"], ["31\ta@example.org\n32\tb@example.org\n"])).toBe(2);
    let bytes = 0;
    for await (const piece of tx.copyOut(users)) bytes += piece.length;
    expect(bytes).toBeGreaterThan(100);
  });
  const failed = sessions.begin({}, (tx) => tx.copyIn(users, ["id", "email"], ["31\ttwice\n"]));
  await expect(failed).rejects.toMatchObject({ code: "UNIQUE_VIOLATION" });
  const copies = (await recorder.statements()).filter(({ command }) => command === "COPY");
  expect(copies.map(({ tables, calls, rows, errors }) => ({ tables, calls, rows, errors }))).toEqual(
    expect.arrayContaining([
      { tables: ["users"], calls: 2, rows: 2, errors: 1 },
      { tables: ["users"], calls: 1, rows: 32, errors: 0 },
    ]),
  );
});

describeDatabases((_, open) => {
  const start = async (options: RecorderOptions = {}) => {
    const database = await open({ setup: SETUP });
    const recorder = createRecorder({ flushIntervalMs: 0, ...options });
    const sessions = createSessionFactory(database, {
      guard: "off",
      observers: [recorder],
      schema: { users, posts },
    });
    return { database, recorder, sessions, [Symbol.asyncDispose]: () => database.close() };
  };
  const stored = async (database: TestDatabase) =>
    (await database.query("SELECT * FROM pgsteward.statement ORDER BY calls DESC, fingerprint")).rows;

  test("statements that differ in values or list length are one shape, with calls, rows, tables and predicates", async () => {
    await using fixture = await start();
    const { sessions, recorder } = fixture;
    await sessions.run({}, (tx) => tx.select().from(users).where(eq(users.id, 1)), { name: "load user" });
    await sessions.run({}, (tx) => tx.select().from(users).where(eq(users.id, 2)), { name: "load user" });
    await sessions.begin({}, async (tx) => {
      await tx.execute(sql`SELECT * FROM users WHERE id IN (1, 2) ORDER BY email DESC`);
      await tx.execute(sql`SELECT * FROM users WHERE id IN (1, 2, 3) ORDER BY email DESC`);
    });
    const [byKey, byList, ...others] = (await recorder.statements()).sort((a, b) => a.rows - b.rows);
    expect(others).toEqual([]);
    expect(byKey).toMatchObject({
      command: "SELECT",
      tables: ["users"],
      predicates: [{ table: "users", column: "id", operator: "=", clause: "where", isExpression: false }],
      calls: 2,
      rows: 2,
      errors: 0,
      units: [{ name: "load user", calls: 2 }],
      foldedShapes: 0,
    });
    expect(byKey?.fingerprint).toMatch(/^[0-9a-f]{16}$/);
    expect(byKey?.callers[0]).toContain("recorder.test.ts");
    expect(byKey?.totalMs).toBeGreaterThan(0);
    expect(byList).toMatchObject({ calls: 2, rows: 5, tables: ["users"] });
    expect(byList?.predicates).toEqual([
      { table: "users", column: "id", operator: "IN", clause: "where", isExpression: false },
      { table: "users", column: "email", operator: "DESC", clause: "order by", isExpression: false },
    ]);
  });

  test("values that the program wrote into a text are not in what is recorded", async () => {
    await using fixture = await start();
    await fixture.sessions.run({}, (tx) =>
      tx.execute(sql.raw("SELECT id FROM users WHERE email = 'hidden@example.org' -- hidden too")),
    );
    await failureOf(fixture.sessions.run({}, (tx) => tx.execute(sql.raw("SELEC 'hidden' 4711"))));
    await fixture.sessions.run({}, (tx) => tx.execute(sql.raw("SET LOCAL application_name = 'hidden'")));
    const text = JSON.stringify(await fixture.recorder.statements());
    expect(text).not.toContain("hidden");
    expect(text).not.toContain("4711");
  });

  test("predicates of joins, subqueries, expressions and writes name their table where the text tells it", async () => {
    await using fixture = await start();
    const { sessions, recorder } = fixture;
    await sessions.run({}, (tx) => [
      tx.execute(sql`
        WITH recent AS (SELECT * FROM posts WHERE id > 3)
        SELECT u.id FROM users AS u JOIN recent AS r ON r.user_id = u.id
        WHERE lower(u.email) LIKE 'x%' AND EXISTS (SELECT 1 FROM posts AS p WHERE p.user_id = u.id AND p.body IS NULL)`),
      tx
        .update(posts)
        .set({ body: "x" })
        .where(sql`${posts.id} = ANY (${sql.param([1, 2])})`),
      tx.delete(posts).where(eq(posts.body, "nothing")),
    ]);
    const found = await recorder.statements();
    const of = (command: string) =>
      found
        .find((statement) => statement.command === command)
        ?.predicates.map(({ table, column, operator, clause, isExpression }) =>
          [table ?? "?", column, operator, clause, ...(isExpression ? ["expression"] : [])].join(" "),
        );
    expect(found.find(({ command }) => command === "WITH")?.tables.toSorted()).toEqual(["posts", "users"]);
    expect(of("WITH")?.toSorted()).toEqual([
      "? user_id = join",
      "posts body IS NULL where",
      "posts id > where",
      "posts user_id = where",
      "users email LIKE where expression",
      "users id = join",
      "users id = where",
    ]);
    expect(of("UPDATE")).toEqual(["posts id = ANY where"]);
    expect(of("DELETE")).toEqual(["posts body = where"]);
  });

  test("a failed statement counts as an error, those after it did not run", async () => {
    await using fixture = await start();
    await failureOf(
      fixture.sessions.run({}, (tx) => [
        tx.select().from(users),
        tx.execute(sql`SELECT 1 / (id - id) FROM users`),
        tx.select().from(posts),
      ]),
    );
    const found = await fixture.recorder.statements();
    expect(found.map(({ tables, errors, calls }) => [tables[0], calls, errors])).toEqual(
      expect.arrayContaining([
        ["users", 1, 0],
        ["users", 1, 1],
      ]),
    );
    expect(found).toHaveLength(2);
  });

  test("memory is bounded: the rarest shapes are summed in an entry that says how many", async () => {
    await using fixture = await start({ maxStatements: 5 });
    const { sessions, recorder } = fixture;
    for (let round = 0; round < 4; round++) await sessions.run({}, (tx) => tx.select().from(users));
    for (const name of FUNCTIONS)
      await sessions.run({}, (tx) => tx.execute(sql.raw(`SELECT ${name}(id) FROM posts LIMIT 1`)));
    const found = await recorder.statements();
    const other = found.at(-1);
    expect(found).toHaveLength(6);
    expect(other).toMatchObject({ fingerprint: "other", foldedShapes: 16, calls: 16, rows: 16 });
    expect(found.find(({ tables }) => tables[0] === "users")).toMatchObject({ calls: 4 });
  });

  test("a statement repeated in one unit is told once, with the line that issues it", async () => {
    const notices: RepeatedNotice[] = [];
    await using fixture = await start({ n1Threshold: 5, onRepeated: (notice) => notices.push(notice) });
    const loadPosts = async (): Promise<void> => {
      await fixture.sessions.begin(
        {},
        async (tx) => {
          for (const { id } of await tx.select().from(users)) {
            await tx.select().from(posts).where(eq(posts.user_id, id));
          }
        },
        { name: "list posts" },
      );
    };
    await loadPosts();
    await loadPosts();
    expect(notices).toHaveLength(2);
    expect(notices[0]).toMatchObject({ unitName: "list posts", calls: 6, within: "unit" });
    expect(notices[0]?.text).toContain('from "posts"');
    const report = await fixture.recorder.repeated();
    expect(report).toHaveLength(1);
    expect(report[0]).toMatchObject({ occurrences: 2, mostCalls: 30, unitName: "list posts" });
    expect(report[0]?.issuedAt).toContain("recorder.test.ts");
    const [issued, opened] = [report[0]?.issuedAt, report[0]?.openedAt].map((place) =>
      Number(/test\.ts:(\d+)/.exec(place ?? "")?.[1]),
    );
    expect(issued).toBe((opened ?? 0) + 4);
  });

  test("repeats in one flush, in relational queries and with values in the text are found too", async () => {
    await using fixture = await start({ n1Threshold: 5 });
    const ids = [1, 2, 3, 4, 5, 6, 7];
    await fixture.sessions.begin({}, async (tx) => {
      await Promise.all(ids.map((id) => tx.select().from(posts).where(eq(posts.user_id, id))));
      for (const id of ids) await tx.query.users.findFirst({ where: eq(users.id, id) });
      for (const id of ids) await tx.execute(sql.raw(`SELECT body FROM posts WHERE id = ${id}`));
    });
    const report = await fixture.recorder.repeated();
    expect(report.map(({ mostCalls }) => mostCalls)).toEqual([7, 7, 7]);
    expect(report.every(({ issuedAt }) => issuedAt.includes("recorder.test.ts"))).toBe(true);
    expect(report.map(({ text: statement }) => statement)).toContain("SELECT body FROM posts WHERE id = $1");
  });

  test("units of one request, or of one flow, count together; others do not", async () => {
    const notices: RepeatedNotice[] = [];
    await using fixture = await start({ n1Threshold: 5, onRepeated: (notice) => notices.push(notice) });
    const { sessions, recorder } = fixture;
    const load = (id: number, requestId?: string) =>
      sessions.run(requestId === undefined ? {} : { requestId }, (tx) =>
        tx.select().from(posts).where(eq(posts.user_id, id)),
      );
    for (let id = 1; id < 9; id++) await load(id);
    for (let id = 1; id < 9; id++) await load(id, `request ${id}`);
    expect(notices).toEqual([]);
    for (let id = 1; id < 9; id++) await load(id, "request");
    expect(notices).toMatchObject([{ within: "flow", calls: 6 }]);
    await recorder.flow(async () => {
      for (let id = 1; id < 9; id++) await load(id);
    });
    expect(notices).toMatchObject([{ within: "flow" }, { within: "flow" }]);
    expect(notices[1]?.issuedAt).toContain("recorder.test.ts");
  });

  test("a unit that stays at the threshold, or runs different statements, is not reported", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      for (let id = 0; id < 10; id++) await tx.select().from(posts).where(eq(posts.user_id, id));
      for (const name of FUNCTIONS) await tx.execute(sql.raw(`SELECT ${name}(id) FROM posts`));
    });
    expect(await fixture.recorder.repeated()).toEqual([]);
  });

  test("parameters are kept only when asked for, cut, redacted, and never for what is marked", async () => {
    await using plain = await start();
    await plain.sessions.run({}, (tx) => tx.select().from(users).where(eq(users.id, 29)));
    expect((await plain.recorder.statements())[0]?.parameterSamples).toEqual([]);
    await plain.database.close();

    await using fixture = await start({
      sampleParameters: {
        perStatement: 2,
        maxLength: 8,
        excludeTables: [posts],
        excludeColumns: ["email"],
        redact: (value) => (value === 3 ? "three" : value),
      },
    });
    const { sessions, recorder } = fixture;
    for (const id of [1, 2, 3, 4])
      await sessions.run({}, (tx) => tx.execute(sql`SELECT id FROM users WHERE id = ${id} AND ${"0123456789"} <> ''`));
    await recorder.statements();
    for (const id of [5, 3, 3, 3])
      await sessions.run({}, (tx) => tx.execute(sql`SELECT id FROM users WHERE id = ${id} AND ${"0123456789"} <> ''`));
    await sessions.run({}, (tx) => tx.select({ id: users.id }).from(users).where(eq(users.email, "secret")));
    await sessions.run({}, (tx) => tx.insert(posts).values({ id: 900, user_id: 1, body: "secret" }));
    await sessions.run({}, (tx) => tx.execute(sql`INSERT INTO users VALUES (900, ${"secret"})`));
    const found = await recorder.statements();
    expect(found.filter(({ parameterSamples }) => parameterSamples.length > 0)).toHaveLength(1);
    const samples = found.flatMap(({ parameterSamples }) => parameterSamples);
    expect(samples).toContainEqual(["three", "01234567"]);
    expect(samples.length).toBeLessThanOrEqual(2);
    expect(JSON.stringify(found)).not.toContain("secret");
  });

  test("aggregates are added to pgsteward.statement, each once, by any number of recorders", async () => {
    await using fixture = await start();
    const { sessions, recorder, database } = fixture;
    await createRecorderTables(database);
    await createRecorderTables(database);
    const load = () => sessions.run({}, (tx) => tx.select().from(users).where(eq(users.id, 1)), { name: "load" });
    await load();
    await recorder.persist(database);
    await recorder.persist(database);
    await load();
    await Promise.all([recorder.persist(), recorder.persist()]);
    expect(await stored(database)).toMatchObject([
      { calls: "2", rows: "2", errors: "0", command: "SELECT", tables: ["users"], units: ["load"] },
    ]);
    const second = createRecorder({ flushIntervalMs: 0 });
    const others = createSessionFactory(database, { guard: "off", observers: [second] });
    await others.run({}, (tx) => tx.select().from(users).where(eq(users.id, 1)), { name: "other load" });
    await second.persist(database);
    const [row] = await stored(database);
    expect(row).toMatchObject({ calls: "3", rows: "3", units: ["load", "other load"] });
    expect(row?.["mean_ms"]).toBeCloseTo(Number(row?.["total_ms"]) / 3);
  });

  test("what a failed write held is written by the next one", async () => {
    await using fixture = await start();
    const { sessions, recorder, database } = fixture;
    await sessions.run({}, (tx) => tx.select().from(users));
    expect(await failureOf(recorder.persist(database))).toMatchObject({
      code: "INVALID_INPUT",
      hint: expect.stringContaining("createRecorderTables"),
    });
    await sessions.run({}, (tx) => tx.select().from(users));
    await createRecorderTables(database);
    await recorder.persist(database);
    expect(await stored(database)).toMatchObject([{ calls: "2", rows: "60" }]);
  });

  test("a write is no part of the unit it is asked for in", async () => {
    await using fixture = await start();
    const { sessions, recorder, database } = fixture;
    await createRecorderTables(database);
    await sessions.run({}, (tx) => tx.select().from(users));
    let writing: Promise<void> | undefined;
    await failureOf(
      sessions.begin({}, async (tx) => {
        await tx.select().from(posts);
        writing = recorder.persist(database);
        throw new Error("undo");
      }),
    );
    await writing;
    expect((await stored(database)).length).toBeGreaterThan(0);
  });

  test("writes by interval go on after a failure, which is told once", async () => {
    const errors: unknown[] = [];
    await using fixture = await start({ flushIntervalMs: 20, onError: (error) => errors.push(error) });
    const { sessions, recorder, database } = fixture;
    await sessions.run({}, (tx) => tx.select().from(users));
    await failureOf(recorder.persist(database));
    await expect.poll(() => errors.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(errors).toHaveLength(1);
    await createRecorderTables(database);
    await expect.poll(() => stored(database)).toMatchObject([{ calls: "1" }]);
    await recorder.close();
  });

  test("an observer's own mistake does not fail the unit", async () => {
    const errors: unknown[] = [];
    await using fixture = await start({
      n1Threshold: 1,
      onError: (error) => errors.push(error),
      onRepeated: () => {
        throw new Error("broken callback");
      },
    });
    const counted = await fixture.sessions.begin({}, async (tx) => {
      await tx.select().from(users);
      return (await tx.select().from(users)).length;
    });
    expect(counted).toBe(30);
    expect(errors).toHaveLength(1);
  });
});

test("options that cannot be used are refused", () => {
  expect(() => createRecorder({ maxStatements: 0 })).toThrow(/maxStatements/);
  expect(() => createRecorder({ flushIntervalMs: -1 })).toThrow(/flushIntervalMs/);
});
