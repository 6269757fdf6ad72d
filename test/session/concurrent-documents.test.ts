import { eq } from "drizzle-orm";
import { integer, jsonb, pgTable } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import {
  createSessionFactory,
  jsonAppend,
  jsonIncrement,
  jsonSet,
  type SessionFactory,
} from "../../src/session/index.ts";
import { testDatabase } from "../support/test-database.ts";

interface State {
  by: Record<string, { round: number }>;
  created?: Record<string, number>;
  log: string[];
  old: Record<string, boolean>;
  count: number;
}
const docs = pgTable("docs", { id: integer().primaryKey(), state: jsonb().$type<State>().notNull() });
const SETUP = "CREATE TABLE docs (id int PRIMARY KEY, state jsonb NOT NULL)";
const ROUNDS = 150;

/** One writer's part of a round: every writer has read the document before the first one writes. */
type Write = (
  sessions: SessionFactory,
  name: string,
  round: number,
  everyoneHasRead: () => Promise<void>,
) => Promise<unknown>;

const patch: Write = (sessions, name, round, everyoneHasRead) =>
  sessions.begin({}, async (tx) => {
    const { state } = await tx.loadOrThrow(docs, 1);
    await everyoneHasRead();
    change(state, name, round);
  });

const wholeColumn: Write = (sessions, name, round, everyoneHasRead) =>
  sessions.begin({}, async (tx) => {
    const [doc] = await tx.select().from(docs).where(eq(docs.id, 1));
    await everyoneHasRead();
    if (doc === undefined) throw new Error("no document");
    change(doc.state, name, round);
    await tx.update(docs).set({ state: doc.state }).where(eq(docs.id, 1));
  });

/** A nested sibling changed, an object created that the others create too, an element appended, a key removed. */
function change(state: State, name: string, round: number): void {
  state.by[name] = { round };
  state.created = { ...state.created, [name]: round };
  state.log.push(name);
  delete state.old[name];
}

/** Number of changes that were lost in all rounds. */
async function lostChanges(sessions: SessionFactory, writers: number, write: Write): Promise<number> {
  const names = Array.from({ length: writers }, (_, index) => `writer ${index}`);
  const empty = (): State => ({
    by: {},
    log: [],
    old: Object.fromEntries(names.map((name) => [name, true])),
    count: 0,
  });
  await sessions.run({}, (tx) => tx.insert(docs).values({ id: 1, state: empty() }).onConflictDoNothing());
  let lost = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await sessions.run({}, (tx) => tx.update(docs).set({ state: empty() }));
    const everyoneHasRead = barrier(writers);
    await Promise.all(names.map((name) => write(sessions, name, round, everyoneHasRead)));
    const [doc] = await sessions.run({}, (tx) => tx.select().from(docs));
    for (const name of names) {
      const isThere =
        doc?.state.by[name]?.round === round &&
        doc.state.created?.[name] === round &&
        doc.state.log.includes(name) &&
        doc.state.old[name] === undefined;
      if (!isThere) lost++;
    }
  }
  return lost;
}

function barrier(count: number): () => Promise<void> {
  let arrived = 0;
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return () => {
    if (++arrived === count) open();
    return opened;
  };
}

const start = async () => {
  const database = await testDatabase({ setup: SETUP, pool: { size: 9 } });
  const sessions = createSessionFactory(database, { guard: "off" });
  return { sessions, [Symbol.asyncDispose]: () => database.close() };
};

test.each([2, 8])("%i writers of one document at a time lose nothing in 150 rounds", async (writers) => {
  await using fixture = await start();
  expect(await lostChanges(fixture.sessions, writers, patch)).toBe(0);
});

test("the same writers lose changes when each writes the whole column", async () => {
  await using fixture = await start();
  expect(await lostChanges(fixture.sessions, 2, wholeColumn)).toBeGreaterThan(0);
});

test("updates without fetching lose nothing among eight writers", async () => {
  await using fixture = await start();
  const { sessions } = fixture;
  await sessions.run({}, (tx) => tx.insert(docs).values({ id: 1, state: { by: {}, log: [], old: {}, count: 0 } }));
  await Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let round = 0; round < 25; round++) {
        const counted = jsonIncrement(docs.state, ["count"], 1);
        const logged = jsonAppend(counted, ["log"], `${writer}.${round}`);
        const state = jsonSet(logged, ["by", `${writer}.${round}`, "round"], round);
        await sessions.run({}, (tx) => tx.update(docs).set({ state }).where(eq(docs.id, 1)));
      }
    }),
  );
  const [doc] = await sessions.run({}, (tx) => tx.select().from(docs));
  expect(doc?.state.count).toBe(200);
  expect(new Set(doc?.state.log).size).toBe(200);
  expect(Object.keys(doc?.state.by ?? {})).toHaveLength(200);
});

test("a reader who waits for the lock sees what the other wrote and goes on from there", async () => {
  await using fixture = await start();
  const { sessions } = fixture;
  await sessions.run({}, (tx) => tx.insert(docs).values({ id: 1, state: { by: {}, log: [], old: {}, count: 0 } }));
  const increment = () =>
    sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1, { lock: "update" });
      doc.state.count += 1;
    });
  await Promise.all(Array.from({ length: 20 }, increment));
  expect(await sessions.run({}, (tx) => tx.load(docs, 1))).toMatchObject({ state: { count: 20 } });
});

test("a guard makes one of two writers of the same value stale", async () => {
  await using fixture = await start();
  const { sessions } = fixture;
  await sessions.run({}, (tx) => tx.insert(docs).values({ id: 1, state: { by: {}, log: [], old: {}, count: 0 } }));
  const everyoneHasRead = barrier(2);
  const outcomes = await Promise.allSettled(
    [1, 2].map((amount) =>
      sessions.begin({}, async (tx) => {
        const doc = await tx.loadOrThrow(docs, 1, { guard: ["state.count"] });
        await everyoneHasRead();
        doc.state.count += amount;
      }),
    ),
  );
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  expect(outcomes.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "STALE_ROW" } });
});
