// Units of work, step by step: the context, the three ways to run one, errors, the guard, retry, limits, giving up.
// docs/guide/sessions.md shows its parts and what they print.
//   npx tsx examples/guide-units.ts
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { allowExternal, createSessionFactory, openDatabase, StewardError, UniqueViolationError } from "pgsteward";

const tasks = pgTable("tasks", {
  id: integer().primaryKey(),
  tenantId: uuid("tenant_id")
    .notNull()
    .default(sql`current_setting('app.tenant_id')::uuid`), // nobody has to type it
  title: text().notNull().unique("uq_tasks_title"),
  result: text(),
});

await using database = await openDatabase("pglite:"); // or postgres://user:password@host/name
await database.exec(`
  CREATE ROLE app NOLOGIN;
  CREATE TABLE tasks (
    id int PRIMARY KEY,
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant_id')::uuid,
    title text NOT NULL CONSTRAINT uq_tasks_title UNIQUE,
    result text);
  ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
  ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant_access ON tasks USING (true) WITH CHECK (true);
  CREATE POLICY tenant_isolation ON tasks AS RESTRICTIVE
    USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
  GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO app;
`);

// Context and tenancy
const sessions = createSessionFactory(database, { role: "app" });
const red = { tenantId: "11111111-1111-4111-8111-111111111111", actorId: "planner" };
const blue = { tenantId: "22222222-2222-4222-8222-222222222222", actorId: "reviewer" };

await sessions.run(red, (tx) => tx.insert(tasks).values({ id: 1, title: "read the mail" }));
const seenByRed = await sessions.read(red, (tx) => tx.select({ title: tasks.title }).from(tasks));
const seenByBlue = await sessions.read(blue, (tx) => tx.select({ title: tasks.title }).from(tasks));
const seenByNobody = await sessions.read({}, (tx) => tx.select({ title: tasks.title }).from(tasks));
console.log("red", seenByRed, "blue", seenByBlue, "without tenant", seenByNobody);

const foreign = sessions.run(blue, (tx) =>
  tx.insert(tasks).values({ id: 2, tenantId: red.tenantId, title: "not mine" }),
);
console.log(await failureOf(foreign));

// run, begin, read
const [, all] = await sessions.run(red, (tx) => [
  tx.insert(tasks).values({ id: 2, title: "answer the mail" }),
  tx.select({ id: tasks.id }).from(tasks).orderBy(tasks.id),
]);
console.log("run", all);

const title = await sessions.begin(
  red,
  async (tx) => {
    const [task] = await tx.select().from(tasks).where(eq(tasks.id, 2)).for("update");
    if (task === undefined) return undefined;
    await tx.update(tasks).set({ result: "done" }).where(eq(tasks.id, task.id));
    return task.title;
  },
  { name: "finish task" },
);
console.log("begin", title);

const taskById = sessions.prepare((tx) =>
  tx
    .select({ title: tasks.title })
    .from(tasks)
    .where(eq(tasks.id, sql.placeholder("id"))),
);
console.log("prepare", await taskById(red, { id: 2 }));

const write = sessions.read(red, (tx) => tx.insert(tasks).values({ id: 3, title: "in a read" }));
console.log("read", await failureOf(write));

// Errors
try {
  await sessions.run(red, (tx) => tx.insert(tasks).values({ id: 3, title: "read the mail" }));
} catch (error) {
  if (!(error instanceof UniqueViolationError)) throw error;
  console.log(error.code, error.table, error.constraint, error.sqlState);
}

const swallowed = sessions.begin(red, async (tx) => {
  await tx
    .insert(tasks)
    .values({ id: 1, title: "a second one" })
    .catch(() => undefined); // hides the error from us, not from the server
});
console.log(await failureOf(swallowed));

const inserted = await sessions.begin(red, async (tx) => {
  try {
    await tx.begin((inner) => inner.insert(tasks).values({ id: 1, title: "a second one" }));
    return "inserted";
  } catch (error) {
    if (!(error instanceof UniqueViolationError)) throw error;
    return "was there"; // only the nested unit was undone, the unit goes on
  }
});
console.log(inserted);

// The guard
const server = createServer((_, response) => response.end("a long answer")).listen(0, "127.0.0.1");
await once(server, "listening");
const model = `http://127.0.0.1:${(server.address() as AddressInfo).port}/complete`;

const held = sessions.begin(red, async (tx) => {
  const [task] = await tx.select().from(tasks).where(eq(tasks.id, 1)).for("update");
  await fetch(model, { method: "POST", body: task?.title ?? "" });
});
console.log((await failureOf(held)).split(" ")[0]);

const [task] = await sessions.read(red, (tx) => tx.select().from(tasks).where(eq(tasks.id, 1)));
const answer = await (await fetch(model, { method: "POST", body: task?.title ?? "" })).text(); // no unit is open
await sessions.run(red, (tx) => tx.update(tasks).set({ result: answer }).where(eq(tasks.id, 1)));

const allowed = await sessions.begin(red, async (tx) => {
  await tx.select().from(tasks);
  return allowExternal(async () => (await fetch(model)).status); // the connection stays taken meanwhile
});
console.log(answer, allowed);
server.closeAllConnections();
server.close();

// Retry
let runs = 0;
await sessions.begin(
  red,
  async (tx) => {
    runs++;
    await tx
      .update(tasks)
      .set({ result: `run ${runs}` })
      .where(eq(tasks.id, 2));
    if (runs < 3) await tx.execute(sql`DO $$ BEGIN RAISE EXCEPTION 'not serializable' USING ERRCODE = '40001'; END $$`);
  },
  {
    isolation: "serializable",
    retry: { attempts: 5, onRetry: ({ attempt, error }) => console.log("attempt", attempt, error.code) },
  },
);
const [retried] = await sessions.read(red, (tx) => tx.select().from(tasks).where(eq(tasks.id, 2)));
console.log(retried?.result);

// Limits, and giving up
const tooLong = sessions.begin(
  red,
  async (tx) => {
    await tx.select().from(tasks);
    await sleep(300);
  },
  { name: "slow", limits: { unitTimeoutMs: 100 } },
);
console.log((await failureOf(tooLong)).split(" ")[0]);

const controller = new AbortController();
const abandoned = sessions.begin(
  red,
  async (tx) => {
    await tx.update(tasks).set({ result: "half" }).where(eq(tasks.id, 2));
    controller.abort(new Error("the user closed the page"));
    await tx.update(tasks).set({ result: "whole" }).where(eq(tasks.id, 2));
  },
  { signal: controller.signal },
);
console.log((await failureOf(abandoned)).split(" ")[0]);
const [kept] = await sessions.read(red, (tx) => tx.select().from(tasks).where(eq(tasks.id, 2)));
console.log(kept?.result, database.poolFigures().idle);

/** The code and the message of the error that `work` must end with. */
async function failureOf(work: PromiseLike<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof StewardError) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error("this was expected to fail");
}
