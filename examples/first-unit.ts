// Two tenants, one table: units of work on the embedded database, with models written for Drizzle.
//   npx tsx examples/first-unit.ts
import { pgTable, text, uuid } from "drizzle-orm/pg-core";
import { eq } from "drizzle-orm";
import { createSessionFactory, openDatabase } from "pgsteward";

const notes = pgTable("notes", {
  id: uuid("id").primaryKey().defaultRandom(),
  tenantId: uuid("tenant_id").notNull(),
  body: text("body").notNull(),
});

await using database = await openDatabase("pglite:"); // or postgres://user:password@host/name
await database.exec(`
  CREATE ROLE app NOLOGIN;
  CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid NOT NULL, body text NOT NULL);
  ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
  ALTER TABLE notes FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant_access ON notes USING (true) WITH CHECK (true);
  CREATE POLICY tenant_isolation ON notes AS RESTRICTIVE
    USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
  GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO app;
`);

const sessions = createSessionFactory(database, { role: "app" });
const red = { tenantId: "11111111-1111-4111-8111-111111111111" };
const blue = { tenantId: "22222222-2222-4222-8222-222222222222" };

// A declared unit: the context and both statements travel in one network flush and are committed together.
await sessions.run(red, (tx) => [
  tx.insert(notes).values({ tenantId: red.tenantId, body: "red: buy paint" }),
  tx.insert(notes).values({ tenantId: red.tenantId, body: "red: call the painter" }),
]);

// An interactive unit: what it writes depends on what it read. An error anywhere takes all of it back.
await sessions.begin(red, async (tx) => {
  const [first] = await tx.select().from(notes).where(eq(notes.body, "red: buy paint")).for("update");
  if (first !== undefined) await tx.update(notes).set({ body: "red: paint bought" }).where(eq(notes.id, first.id));
});

// No WHERE on the tenant: the database itself keeps the tenants apart.
const seenByRed = await sessions.read(red, (tx) => tx.select({ body: notes.body }).from(notes).orderBy(notes.body));
const seenByBlue = await sessions.read(blue, (tx) => tx.select({ body: notes.body }).from(notes));
console.log(
  "red sees",
  seenByRed.map((note) => note.body),
);
console.log("blue sees", seenByBlue);
