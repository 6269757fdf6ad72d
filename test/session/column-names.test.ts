// Names of schemas, tables and columns that need quotes, and those that casing gives to columns.
import { and, eq, getViewSelectedFields, gt, sql } from "drizzle-orm";
import {
  index,
  integer,
  jsonb,
  pgSchema,
  pgTable,
  pgView,
  primaryKey,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";
import { relations } from "drizzle-orm/relations";
import { expect, test } from "vitest";
import { createSessionFactory, defineTable, jsonSet } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";

const odd = defineTable(
  pgSchema('My "Schema" $1').table('select "x" $1', {
    id: integer("The Id").primaryKey(),
    body: text('bo"dy $2').notNull(),
    position: integer("position").notNull(),
    gone: timestamp("user"),
  }),
  { softDelete: "gone", hardDelete: true },
);
const NAME = '"My ""Schema"" $1"."select ""x"" $1"';
const SETUP = `DROP SCHEMA IF EXISTS "My ""Schema"" $1" CASCADE; CREATE SCHEMA "My ""Schema"" $1";
CREATE TABLE ${NAME} ("The Id" int PRIMARY KEY, "bo""dy $2" text NOT NULL, "position" int NOT NULL, "user" timestamp);`;

const A = "00000000-0000-4000-8000-00000000000a";

function models() {
  const workers = defineTable(
    pgTable(
      "workers",
      {
        tenantId: uuid().notNull(),
        workerNo: integer().notNull(),
        fullName: text("name"),
        lastState: jsonb().$type<{ step: number; note?: string }>().notNull(),
        rowVersion: integer().notNull().default(1),
        deletedAt: timestamp(),
      },
      (t) => [primaryKey({ columns: [t.tenantId, t.workerNo] }), index().on(t.lastState)],
    ),
    { version: "rowVersion", softDelete: "deletedAt" },
  );
  const workerJobs = pgTable("worker_jobs", {
    jobId: integer().primaryKey(),
    workerNo: integer(),
    jobTitle: text().notNull(),
  });
  const openJobs = pgView("open_jobs", { jobId: integer(), jobTitle: text() }).existing();
  const workerRelations = relations(workers, ({ many }) => ({ jobs: many(workerJobs) }));
  const jobRelations = relations(workerJobs, ({ one }) => ({
    worker: one(workers, { fields: [workerJobs.workerNo], references: [workers.workerNo] }),
  }));
  return { workers, workerJobs, openJobs, workerRelations, jobRelations, other: "not a table" };
}

const CASED = `
CREATE TABLE workers (tenant_id uuid, worker_no int, name text, last_state jsonb NOT NULL, row_version int NOT NULL DEFAULT 1,
  deleted_at timestamp, PRIMARY KEY (tenant_id, worker_no));
CREATE TABLE worker_jobs (job_id int PRIMARY KEY, worker_no int, job_title text NOT NULL);
CREATE VIEW open_jobs AS SELECT job_id, job_title FROM worker_jobs;`;

describeDatabases((kind, open) => {
  test("schemas, tables and columns may have any name", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off" });
    await sessions.begin({}, async (tx) => {
      const rows = [
        { id: 1, body: "a", position: 3 },
        { id: 2, body: "b", position: 2 },
        { id: 3, body: "c", position: 1 },
      ];
      expect((await tx.bulkInsert(odd, rows, { returning: true })).rows).toHaveLength(3);
      expect(await tx.bulkUpdate(odd, [{ id: 2, body: "B" }])).toEqual({ count: 1, missing: [] });
      const target = odd.id;
      expect(
        (
          await tx.upsert(
            odd,
            [
              { id: 3, body: "C", position: 1 },
              { id: 4, body: "d", position: 0 },
            ],
            { target, where: gt(odd.id, 3) },
          )
        ).map(({ row, inserted }) => [row?.body, inserted]),
      ).toEqual([
        ["c", false],
        ["d", true],
      ]);
      expect(
        (
          await tx.upsert(
            odd,
            { id: 4, body: "e", position: 9 },
            { set: { body: sql`${odd.body} || excluded.${sql.identifier('bo"dy $2')}` } },
          )
        )[0]?.row.body,
      ).toBe("de");
      expect((await tx.lock(odd, [1, 4], { of: odd, wait: "skip" })).map(({ id }) => id)).toEqual([1, 4]);
      expect((await tx.claim(odd, { where: gt(odd.position, 0), orderBy: odd.position }))[0]?.id).toBe(3);
      const page = await tx.page(odd, {
        orderBy: { column: odd.position, direction: "desc" },
        limit: 2,
        total: "exact",
      });
      expect(page).toMatchObject({ rows: [{ id: 1 }, { id: 2 }], total: 4 });
      expect(
        (await tx.page(odd, { orderBy: { column: odd.position, direction: "desc" }, limit: 2, after: page.nextCursor }))
          .rows,
      ).toMatchObject([{ id: 3 }, { id: 4 }]);
      for await (const { id } of tx.stream(tx.from(odd))) expect(id).toBeGreaterThan(0);
      expect([await tx.softDelete(odd, 1), await tx.restore(odd, 1), await tx.hardDelete(odd, 1)]).toEqual([1, 1, 1]);
      expect(await tx.exists(tx.select().from(odd))).toBe(true);
    });
    await expect(
      sessions.begin({}, (tx) => tx.bulkInsert(odd, [{ id: 2, body: "x", position: 1 }])),
    ).rejects.toMatchObject({ rowIndex: 0 });
  });
  if (kind === "server") {
    test("COPY takes any name too, and names the row at fault", async () => {
      await using database = await open({ setup: SETUP });
      const sessions = createSessionFactory(database, { guard: "off" });
      await sessions.begin({}, async (tx) => {
        expect(await tx.copyIn(odd, ["id", "body", "position"], ["1\ta\t1\n"])).toBe(1);
        await expect(tx.copyIn(odd, ["id", "body", "position"], ["2\ta\t1\n1\ta\t1\n"])).rejects.toMatchObject({
          rowIndex: 1,
        });
        const again = tx.bulkInsert(odd, [{ id: 1, body: "x", position: 1 }], {
          method: "copy",
          onConflict: { target: odd.id },
        });
        expect(await again).toMatchObject({ count: 1, method: "copy through a temporary table" });
        const parts: string[] = [];
        for await (const part of tx.copyOut(odd, { format: "csv" })) parts.push(part.toString());
        expect(parts.join("")).toBe("1,x,1,\n");
      });
    });
  }

  test("every way to read and write uses the names that casing gives", async () => {
    await using database = await open({ setup: CASED });
    const schema = models();
    const { workers, workerJobs, openJobs } = schema;
    const sessions = createSessionFactory(database, { schema, casing: "snake_case" });
    const key = { tenantId: A, workerNo: 1 };
    await sessions.begin({}, async (tx) => {
      await tx.insert(workers).values({ ...key, fullName: "ada", lastState: { step: 1 } });
      await tx.bulkInsert(workerJobs, [
        { jobId: 1, workerNo: 1, jobTitle: "read" },
        { jobId: 2, workerNo: 1, jobTitle: "write" },
      ]);
      const [changed] = await tx.upsert(workerJobs, { jobId: 2, jobTitle: "sum" });
      expect(changed).toMatchObject({ row: { jobTitle: "sum" }, inserted: false });
      await tx.bulkUpdate(workerJobs, [{ jobId: 1, jobTitle: "look" }]);
      if (kind === "server") await tx.copyIn(workerJobs, ["jobId", "jobTitle"], ["3\tcopied\n"]);
      else await tx.insert(workerJobs).values({ jobId: 3, jobTitle: "copied" });
    });
    await sessions.begin({}, async (tx) => {
      const worker = await tx.load(workers, key, { lock: "update", with: { jobs: true } });
      if (worker === undefined) throw new Error("the worker is not there");
      expect(worker.jobs.map(({ jobTitle }) => jobTitle).join()).toMatch(/^(look,sum|sum,look)$/);
      worker.lastState.note = "seen";
      worker.fullName = "Ada";
    });
    await sessions.begin({}, async (tx) => {
      await tx
        .update(workers)
        .set({ lastState: jsonSet(workers.lastState, ["step"], 2) })
        .where(eq(workers.workerNo, 1));
      expect(await tx.lock(workers, key)).toMatchObject([
        { ...key, fullName: "Ada", lastState: { step: 2, note: "seen" }, rowVersion: 2 },
      ]);
      const page = await tx.page(workerJobs, { orderBy: [workerJobs.jobTitle], limit: 2 });
      expect(page.rows.map(({ jobId }) => jobId)).toEqual([3, 1]);
      const rest = await tx.page(workerJobs, {
        orderBy: [workerJobs.jobTitle],
        limit: 2,
        after: page.nextCursor ?? "",
      });
      expect(rest.rows.map(({ jobId }) => jobId)).toEqual([2]);
      expect(await tx.select().from(openJobs).where(eq(openJobs.jobId, 3))).toEqual([{ jobId: 3, jobTitle: "copied" }]);
      const found = await tx.query.workerJobs.findFirst({ with: { worker: true }, where: eq(workerJobs.jobId, 1) });
      expect(found).toMatchObject({ jobTitle: "look", worker: { fullName: "Ada", tenantId: A } });
      const joined = await tx
        .select({ who: workers.fullName, what: workerJobs.jobTitle })
        .from(workers)
        .innerJoin(workerJobs, and(eq(workerJobs.workerNo, workers.workerNo), sql`${workerJobs.jobTitle} = 'look'`));
      expect(joined).toEqual([{ who: "Ada", what: "look" }]);
      expect(await tx.softDelete(workers, key)).toBe(1);
      expect(await tx.from(workers)).toEqual([]);
    });
  });
});

test("names are given once, and not in two ways", async () => {
  const { workers, openJobs } = models();
  await using database = await testDatabase();
  for (let round = 0; round < 2; round++)
    createSessionFactory(database, { schema: { workers, openJobs }, casing: "snake_case" });
  expect([workers.tenantId.name, workers.fullName.name]).toEqual(["tenant_id", "name"]);
  expect(getViewSelectedFields(openJobs).jobTitle.name).toBe("job_title");
  const error = await failureOf(
    (async () => createSessionFactory(database, { schema: { workers }, casing: "camelCase" }))(),
  );
  expect(error).toMatchObject({
    code: "INVALID_INPUT",
    message: "the columns of workers are named in snake_case already",
  });
  const wrong = await failureOf((async () => createSessionFactory(database, { casing: "kebab" as never }))());
  expect(wrong).toMatchObject({ message: 'casing is "snake_case" or "camelCase", not kebab' });
});
