// Looking after units of work: the recorder and its N+1 report, encrypted columns, pool figures, leaks, what a backend can.
// docs/guide/sessions.md shows its parts and what they print.
//   npx tsx examples/guide-operations.ts
import { randomBytes } from "node:crypto";
import { eq } from "drizzle-orm";
import { integer, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { createSessionFactory, defineTable, openDatabase, StewardError } from "pgsteward";
import {
  blindIndex,
  blindIndexColumn,
  createKeyRing,
  createRecorder,
  createRecorderTables,
  decryptRow,
  encryptedText,
  encryptRow,
  reencrypt,
} from "pgsteward/session";

const users = pgTable("users", { id: integer().primaryKey(), name: text().notNull() });
const people = defineTable(
  pgTable("people", {
    id: integer().primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    phone: encryptedText(),
    phoneIndex: blindIndexColumn("phone_index"),
  }),
  {
    tenant: "tenantId",
    encrypted: { phone: { blindIndex: "phoneIndex", normalize: (text) => text.replaceAll(" ", "") } },
  },
);

await using database = await openDatabase("pglite:"); // or postgres://user:password@host/name
await database.exec(`
  CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE people (id int PRIMARY KEY, tenant_id uuid NOT NULL, phone bytea, phone_index bytea);
  INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 20) AS n;
`);

// The recorder
await using recorder = createRecorder({ n1Threshold: 10 });
const sessions = createSessionFactory(database, { observers: [recorder] });

await sessions.begin(
  { actorId: "reporter" },
  async (tx) => {
    for (let id = 1; id <= 12; id++) await tx.select().from(users).where(eq(users.id, id));
  },
  { name: "report" },
);
for (const { text: shape, calls, rows, tables, units } of await recorder.statements())
  console.log(shape, { calls, rows, tables, units });
for (const { unitName, mostCalls, issuedAt } of await recorder.repeated())
  console.log(unitName, mostCalls, /guide-operations\.ts:\d+/.exec(issuedAt)?.[0].replace(/\d+$/, "<line>"));

await createRecorderTables(database); // once, e.g. in a migration
await recorder.persist(database);
console.log((await database.query("SELECT command, calls, units FROM pgsteward.statement")).rows);

// Encrypted columns
const tenantId = "11111111-1111-4111-8111-111111111111";
const oldKey = randomBytes(32); // or a function that asks a key service
const blindIndexKey = randomBytes(32);
const ring = createKeyRing({ keys: { "2025": oldKey }, current: "2025", blindIndexKey });

const sealed = await encryptRow(ring, people, { id: 1, tenantId, phone: "030 123 456" }); // before the unit, not in it
await sessions.run({ tenantId }, (tx) => tx.insert(people).values(sealed));

const wanted = await blindIndex(ring, people.phone, "030123456", { tenantId });
const [found] = await sessions.read({ tenantId }, (tx) =>
  tx.select().from(people).where(eq(people.phoneIndex, wanted)),
);
if (found === undefined) throw new Error("nobody has this number");
console.log(String(found.phone), "->", (await decryptRow(ring, people, found)).phone);
console.log(await codeOf(decryptRow(ring, people, { ...found, id: 2 }))); // moved to another row

const keyRing = createKeyRing({
  keys: { "2025": oldKey, "2026": randomBytes(32) },
  current: "2026",
  blindIndexKey,
});
console.log(await reencrypt(database, people, { keyRing, batchSize: 500 }));

// Pool figures and leaks
const { total, idle, waiting, size } = database.poolFigures();
console.log({ total, idle, waiting, size });

const forgotten = await database.connect(); // somebody forgot `await using`
const [lease] = database.leases();
console.log(lease?.takenAt.includes("guide-operations.ts"));
forgotten.release();
console.log(database.leases().length);

// What the database is
const { ok, server } = await database.health();
console.log(ok, server?.kind, server?.role, server?.behindPooler);
console.log(database.backend);

const second = sessions.begin({}, async () => {
  await using other = await database.connect(); // the embedded database has one connection, and the unit holds it
  await other.query("SELECT 1");
});
console.log(await codeOf(second));

/** The code of the error that `work` must end with. */
async function codeOf(work: PromiseLike<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof StewardError) return error.code;
    throw error;
  }
  throw new Error("this was expected to fail");
}
