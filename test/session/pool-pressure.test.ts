// Many agents on a small pool: what keeps them all going is that nobody holds a connection while a model thinks.
import { eq, sql } from "drizzle-orm";
import { integer, pgTable } from "drizzle-orm/pg-core";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { testDatabase } from "../support/test-database.ts";

const AGENTS = 500;
const POOL = 10;
const steps = pgTable("steps", { agent: integer().primaryKey(), done: integer().notNull() });
const SETUP = `CREATE TABLE steps (agent int PRIMARY KEY, done int NOT NULL);
INSERT INTO steps SELECT g, 0 FROM generate_series(1, ${AGENTS}) AS g;`;

/** Stands for a call to a language model. */
const think = (): Promise<void> => sleep(20 + Math.random() * 60);
const agents = Array.from({ length: AGENTS }, (_, index) => index + 1);

test("500 agents that think outside their units share 10 connections, and none of them starves", async () => {
  await using database = await testDatabase({ setup: SETUP, pool: { size: POOL, acquireTimeoutMs: 100_000 } });
  const sessions = createSessionFactory(database);
  const rounds = 3;
  let thinking = 0;
  let mostThinking = 0;
  let mostLeased = 0;
  const agent = async (id: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      thinking++;
      mostThinking = Math.max(mostThinking, thinking);
      await think();
      thinking--;
      await sessions.begin({}, async (tx) => {
        const [row] = await tx.select().from(steps).where(eq(steps.agent, id)).for("update");
        mostLeased = Math.max(mostLeased, database.leases().length);
        await tx
          .update(steps)
          .set({ done: (row?.done ?? 0) + 1 })
          .where(eq(steps.agent, id));
      });
    }
  };
  const before = database.poolFigures();
  const started = performance.now();
  await Promise.all(agents.map(agent));
  const tookMs = performance.now() - started;
  const figures = database.poolFigures();

  expect((await database.query("SELECT DISTINCT done FROM steps")).rows).toEqual([{ done: rounds }]);
  expect(mostThinking).toBeGreaterThan(POOL * 10);
  expect(mostLeased).toBeLessThanOrEqual(POOL);
  expect(figures.acquired - before.acquired).toBe(AGENTS * rounds);
  expect(figures).toMatchObject({ waiting: 0, size: POOL });
  expect(figures.total).toBeLessThanOrEqual(POOL);
  // Nobody waited for longer than the whole work took: the queue is first come, first served.
  expect(figures.waitMs.max).toBeLessThanOrEqual(tookMs);
  expect(figures.waitMs.mean).toBeLessThanOrEqual(figures.waitMs.max);
  console.info(
    `${AGENTS} agents, pool of ${POOL}: ${Math.round(tookMs)} ms, waits ${Math.round(figures.waitMs.mean)} ms on average, ${figures.waitMs.max} ms at most`,
  );
});

test("with the guard off and the thinking inside the unit, the same pool runs dry", async () => {
  await using database = await testDatabase({
    setup: SETUP,
    pool: { size: POOL, acquireTimeoutMs: 1_000, queueLimit: 400 },
  });
  // All connections are made before: on a busy machine that alone can take longer than an agent waits here.
  const made = await Promise.all(Array.from({ length: POOL }, () => database.connect({ timeoutMs: 30_000 })));
  for (const connection of made) connection.release();
  const sessions = createSessionFactory(database, { guard: "off", limits: { gapWarningMs: 0, unitWarningMs: 0 } });
  const outcomes = await Promise.all(
    agents.map((id) =>
      sessions
        .begin({}, async (tx) => {
          await tx
            .update(steps)
            .set({ done: sql`done + 1` })
            .where(eq(steps.agent, id));
          await sleep(150);
        })
        .then(
          () => "done",
          (error: { readonly code?: string }) => error.code ?? "other",
        ),
    ),
  );
  const count = (outcome: string): number => outcomes.filter((one) => one === outcome).length;
  expect(count("ACQUIRE_TIMEOUT")).toBeGreaterThan(0);
  expect(count("QUEUE_FULL")).toBeGreaterThan(0);
  expect(count("done")).toBeGreaterThanOrEqual(POOL);
  expect(count("done") + count("ACQUIRE_TIMEOUT") + count("QUEUE_FULL")).toBe(AGENTS);
  // It recovers by itself, and what was reported as done is done.
  const { rows } = await database.query("SELECT sum(done)::int AS done FROM steps");
  expect(rows).toEqual([{ done: count("done") }]);
  expect(database.leases()).toEqual([]);
  expect(database.poolFigures().waiting).toBe(0);
});

test("waiting callers are served in the order they came", async () => {
  await using database = await testDatabase({ pool: { size: 1, acquireTimeoutMs: 100_000 } });
  const sessions = createSessionFactory(database, { guard: "off" });
  const order: number[] = [];
  await Promise.all(
    agents.slice(0, 100).map(async (id) => {
      await sessions.run({}, (tx) => tx.execute(sql`SELECT 1`));
      order.push(id);
    }),
  );
  expect(order).toEqual(agents.slice(0, 100));
});
