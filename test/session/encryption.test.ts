import { randomBytes, randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { eq, sql } from "drizzle-orm";
import { integer, pgSchema, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { expect, expectTypeOf, inject, test } from "vitest";
import { openDatabase } from "../../src/postgres/index.ts";
import {
  blindIndex,
  blindIndexColumn,
  createKeyRing,
  createSessionFactory,
  decryptRow,
  decryptRows,
  defineTable,
  encryptedJson,
  encryptedText,
  EncryptedValue,
  encryptRow,
  reencrypt,
  type ValuePlace,
} from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases, runOnServer, testDatabase } from "../support/test-database.ts";

const people = defineTable(
  pgTable("people", {
    id: uuid().primaryKey(),
    tenant_id: uuid().notNull(),
    name: text().notNull(),
    ssn: encryptedText(),
    ssn_index: blindIndexColumn(),
    address: encryptedJson<{ city: string; zip: number }>()(),
  }),
  { tenant: "tenant_id", encrypted: { ssn: { blindIndex: "ssn_index", normalize: (v) => v.replaceAll("-", "") } } },
);
const notes = defineTable(
  pgSchema("vault").table("notes", {
    region: text().notNull(),
    id: integer().primaryKey(),
    body: encryptedText().notNull(),
  }),
  { encrypted: { body: {} } },
);

const SETUP = `
CREATE TABLE people (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, name text NOT NULL, ssn bytea, ssn_index bytea, address bytea);
CREATE INDEX ON people (tenant_id, ssn_index);
DROP SCHEMA IF EXISTS vault CASCADE;
CREATE SCHEMA vault;
CREATE TABLE vault.notes (region text NOT NULL, id int PRIMARY KEY, body bytea NOT NULL);`;

const oldKey = randomBytes(32);
const newKey = randomBytes(32);
const blindIndexKey = randomBytes(32);
const oldRing = createKeyRing({ keys: { "2025": oldKey }, current: "2025", blindIndexKey });
const ring = createKeyRing({ keys: { "2025": oldKey, "2026": newKey }, current: "2026", blindIndexKey });
const newRing = createKeyRing({ keys: { "2026": newKey }, current: "2026", blindIndexKey });
const tenantId = randomUUID();
const place: ValuePlace = { table: "people", column: "ssn", tenantId, rowId: "7" };

test("a value opens in its own place only", async () => {
  const sealed = await ring.seal("123-45-6789", place);
  expect(await ring.open(sealed, place)).toBe("123-45-6789");
  for (const other of [{ rowId: "8" }, { column: "phone" }, { table: "users" }, { tenantId: randomUUID() }]) {
    expect(await failureOf(ring.open(sealed, { ...place, ...other }))).toMatchObject({ code: "DECRYPTION_FAILED" });
  }
  // Parts that would read the same when put one after the other.
  const joined = await ring.seal("x", { ...place, table: "a", column: "bc" });
  expect(await failureOf(ring.open(joined, { ...place, table: "ab", column: "c" }))).toMatchObject({
    code: "DECRYPTION_FAILED",
  });
});

test("every changed byte, and every cut, is noticed", async () => {
  const { bytes } = await ring.seal("secret", place);
  for (let index = 0; index < bytes.length; index++) {
    for (const flip of [1, 128]) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ flip;
      const failure = (await failureOf(ring.open(new EncryptedValue(changed), place))) as { code: string };
      expect(["DECRYPTION_FAILED", "UNKNOWN_KEY"]).toContain(failure.code);
    }
    const cut = new EncryptedValue(bytes.subarray(0, index));
    const failure = (await failureOf(ring.open(cut, place))) as { code: string };
    expect(["DECRYPTION_FAILED", "UNKNOWN_KEY"]).toContain(failure.code);
  }
});

test("old key ids are read, unknown ones and wrong keys are told apart", async () => {
  const sealed = await oldRing.seal("old", place);
  expect(await ring.open(sealed, place)).toBe("old");
  expect(ring.isCurrent(sealed)).toBe(false);
  expect(await failureOf(newRing.open(sealed, place))).toMatchObject({
    code: "UNKNOWN_KEY",
    message: expect.stringContaining('"2025"'),
  });
  const wrong = createKeyRing({ keys: { "2025": randomBytes(32) }, current: "2025" });
  expect(await failureOf(wrong.open(sealed, place))).toMatchObject({ code: "DECRYPTION_FAILED" });
});

test("100,000 values have 100,000 ivs", async () => {
  const ivs = new Set<string>();
  const header = ring.currentHeader.length;
  for (let count = 0; count < 100_000; count++) {
    const { bytes } = await ring.seal("", place);
    ivs.add(bytes.toString("latin1", header, header + 12));
  }
  expect(ivs.size).toBe(100_000);
});

test("text and JSON come back as they were, whatever they hold", async () => {
  for (const value of ["", "null", '{"a":1}', "żółw 🐢", "x".repeat(100_000), { a: [1, null] }, 0, false, [1, "2"]]) {
    expect(await ring.open(await ring.seal<unknown>(value, place), place)).toEqual(value);
  }
  expect(await failureOf(ring.seal(undefined, place))).toMatchObject({ code: "INVALID_INPUT" });
});

test("keys come from functions once, and are asked for again after a failure", async () => {
  let asked = 0;
  const slow = createKeyRing({
    keys: {
      a: async () => {
        asked++;
        await Promise.resolve();
        if (asked === 1) throw new Error("service away");
        return newKey;
      },
    },
    current: "a",
  });
  expect(await failureOf(slow.seal("x", place))).toMatchObject({ message: "service away" });
  await Promise.all([slow.seal("x", place), slow.seal("y", place), slow.load()]);
  expect(asked).toBe(2);
  const short = createKeyRing({ keys: { a: () => Promise.resolve(randomBytes(16)) }, current: "a" });
  expect(await failureOf(short.seal("x", place))).toMatchObject({ code: "INVALID_INPUT" });
});

test("wrong keys and ids are refused when the ring is made", () => {
  expect(() => createKeyRing({ keys: { a: randomBytes(31) }, current: "a" })).toThrow(/32 bytes/);
  expect(() => createKeyRing({ keys: { a: newKey }, current: "b" })).toThrow(/not among/);
  expect(() => createKeyRing({ keys: { "": newKey }, current: "" })).toThrow(/cannot be used/);
  expect(() => createKeyRing({ keys: { a: newKey }, current: "a", blindIndexKey: newKey })).toThrow(/also/);
});

test("neither keys nor values are shown by what prints", async () => {
  const shown = [newKey.toString("hex"), newKey.toString("base64"), inspect(newKey), "123-45-6789"];
  const sealed = await ring.seal("123-45-6789", place);
  const failure = await failureOf(ring.open(sealed, { ...place, rowId: "8" }));
  for (const thing of [ring, sealed, { row: { ssn: sealed } }, failure]) {
    const printed = `${inspect(thing, { depth: 9, showHidden: true })} ${JSON.stringify(thing)} ${String(sealed)}`;
    for (const secret of shown) expect(printed).not.toContain(secret);
  }
});

describeDatabases((_, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off", schema: { people } });
    const add = async (name: string, ssn: string, keys = ring, tenant = tenantId) => {
      const row = await encryptRow(keys, people, { id: randomUUID(), tenant_id: tenant, name, ssn });
      await sessions.run({}, (tx) => tx.insert(people).values(row));
      return row.id;
    };
    return { database, sessions, add, [Symbol.asyncDispose]: () => database.close() };
  };

  test("a row is written sealed and read back, a plain select shows nothing", async () => {
    await using fixture = await start();
    const { sessions, database } = fixture;
    const id = randomUUID().toUpperCase();
    const plain = { id, tenant_id: tenantId, name: "Ada", ssn: "123-45-6789", address: { city: "Kraków", zip: 31 } };
    const sealed = await encryptRow(ring, people, plain);
    await sessions.run({}, (tx) => tx.insert(people).values(sealed));
    const [row] = await sessions.run({}, (tx) => tx.select().from(people));
    expectTypeOf(row?.ssn).toEqualTypeOf<EncryptedValue<string> | null | undefined>();
    expect(row?.ssn).toBeInstanceOf(EncryptedValue);
    expect(JSON.stringify(row)).not.toContain("6789");
    if (row === undefined) throw new Error("no row");
    const opened = await decryptRow(ring, people, row);
    expectTypeOf(opened.address).toEqualTypeOf<{ city: string; zip: number } | null>();
    expect(opened).toMatchObject({ ...plain, id: id.toLowerCase() });

    const related = await sessions.run({}, (tx) => tx.query.people.findFirst());
    expect(await decryptRows(ring, people, related === undefined ? [] : [related])).toMatchObject([
      { ssn: "123-45-6789" },
    ]);
    const { rows } = await database.query(
      "SELECT encode(ssn, 'escape') || encode(address, 'escape') AS raw FROM people",
    );
    expect(rows[0]?.["raw"]).not.toMatch(/6789|Krak/);
  });

  test("plaintext is refused by an encrypted column, without being shown", async () => {
    await using fixture = await start();
    const values = { id: randomUUID(), tenant_id: tenantId, name: "Ada", ssn: "123-45-6789" as never };
    const failure = await failureOf(fixture.sessions.run({}, (tx) => tx.insert(people).values(values)));
    expect(failure).toMatchObject({ code: "INVALID_INPUT", hint: expect.stringContaining("encryptRow") });
    expect(inspect(failure)).not.toContain("6789");
  });

  test("a ciphertext copied to another row, column or tenant by SQL cannot be read", async () => {
    await using fixture = await start();
    const { sessions, database, add } = fixture;
    const first = await add("Ada", "111");
    const second = await add("Bob", "222");
    await database.query("UPDATE people SET ssn = (SELECT ssn FROM people WHERE id = $1) WHERE id = $2", [
      first,
      second,
    ]);
    const read = async (id: string) => {
      const [row] = await sessions.run({}, (tx) => tx.select().from(people).where(eq(people.id, id)));
      if (row === undefined) throw new Error("no row");
      return decryptRow(ring, people, row);
    };
    expect(await failureOf(read(second))).toMatchObject({ code: "DECRYPTION_FAILED" });
    expect(await read(first)).toMatchObject({ ssn: "111" });
    await database.query("UPDATE people SET address = ssn, ssn = NULL WHERE id = $1", [first]);
    expect(await failureOf(read(first))).toMatchObject({ code: "DECRYPTION_FAILED" });
    await database.query("UPDATE people SET ssn = address, address = NULL, tenant_id = $2 WHERE id = $1", [
      first,
      randomUUID(),
    ]);
    expect(await failureOf(read(first))).toMatchObject({ code: "DECRYPTION_FAILED" });
  });

  test("part of a row is sealed for an update; a row without key or tenant, or sealed twice, is refused", async () => {
    await using fixture = await start();
    const { sessions, add } = fixture;
    const id = await add("Ada", "111");
    const changes = await encryptRow(ring, people, { id, tenant_id: tenantId, ssn: "999", address: null });
    await sessions.run({}, (tx) => tx.update(people).set(changes).where(eq(people.id, id)));
    const rows = await sessions.run({}, (tx) => tx.select().from(people));
    expect(await decryptRows(ring, people, rows)).toMatchObject([{ ssn: "999", name: "Ada", address: null }]);
    expect(await failureOf(encryptRow(ring, people, { tenant_id: tenantId, ssn: "1" }))).toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("no id"),
    });
    expect(await failureOf(encryptRow(ring, people, { id, ssn: "1" }))).toMatchObject({ code: "INVALID_INPUT" });
    expect(await failureOf(encryptRow(ring, people, changes as never))).toMatchObject({ code: "INVALID_INPUT" });
    const partial = await sessions.run({}, (tx) => tx.select({ ssn: people.ssn }).from(people));
    expect(await failureOf(decryptRows(ring, people, partial))).toMatchObject({ code: "INVALID_INPUT" });
  });

  test("the blind index finds equal values of the same tenant and tells nothing about others", async () => {
    await using fixture = await start();
    const { sessions, add } = fixture;
    const other = randomUUID();
    await add("Ada", "123-45-6789");
    await add("Bob", "123456789");
    await add("Eve", "555");
    await add("Max", "123-45-6789", ring, other);
    const find = async (ssn: string, tenant: string) => {
      const index = await blindIndex(ring, people.ssn, ssn, { tenantId: tenant });
      const rows = await sessions.run({}, (tx) => tx.select().from(people).where(eq(people.ssn_index, index)));
      return rows.map(({ name }) => name).toSorted();
    };
    expect(await find("123-456-789", tenantId.toUpperCase())).toEqual(["Ada", "Bob"]);
    expect(await find("123456789", other)).toEqual(["Max"]);
    expect(await find("12345678", tenantId)).toEqual([]);
    const refused = { code: "INVALID_INPUT" };
    expect(await failureOf(blindIndex(ring, people.name, "Ada", { tenantId }))).toMatchObject(refused);
    expect(await failureOf(blindIndex(ring, people.ssn, "1", {}))).toMatchObject(refused);
    const withoutKey = createKeyRing({ keys: { a: newKey }, current: "a" });
    expect(await failureOf(blindIndex(withoutKey, people.ssn, "1", { tenantId }))).toMatchObject({
      code: "INVALID_INPUT",
    });
  });

  test("rotation goes on where it was stopped, and leaves nothing under the old key", async () => {
    await using fixture = await start();
    const { sessions, database, add } = fixture;
    for (let count = 0; count < 25; count++) await add(`person ${count}`, `ssn ${count}`, oldRing);
    await add("current", "ssn 99");
    await sessions.run({}, (tx) =>
      tx.execute(sql`INSERT INTO people (id, tenant_id, name) VALUES (${randomUUID()}, ${tenantId}, 'empty')`),
    );
    const controller = new AbortController();
    const stopped = await failureOf(
      reencrypt(database, people, {
        keyRing: ring,
        batchSize: 4,
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done >= 8) controller.abort();
        },
      }),
    );
    expect(stopped).toMatchObject({ code: "CANCELLED" });
    const seen: [number, number][] = [];
    const result = await reencrypt(database, people, {
      keyRing: ring,
      batchSize: 10,
      onProgress: ({ done, total }) => seen.push([done, total]),
    });
    expect(result).toEqual({ done: 17, total: 17 });
    expect(seen).toEqual([
      [10, 17],
      [17, 17],
    ]);
    const rows = await sessions.run({}, (tx) => tx.select().from(people));
    const opened = await decryptRows(newRing, people, rows);
    expect(opened.map(({ ssn }) => ssn ?? "none").toSorted()).toEqual(
      [...Array.from({ length: 25 }, (__, count) => `ssn ${count}`), "ssn 99", "none"].toSorted(),
    );
    expect(await reencrypt(database, people, { keyRing: ring })).toEqual({ done: 0, total: 0 });
  });

  test("a new blind index key takes every row, and a row that cannot be read stops it", async () => {
    await using fixture = await start();
    const { sessions, database, add } = fixture;
    await add("Ada", "111");
    const rekeyed = createKeyRing({ keys: { "2026": newKey }, current: "2026", blindIndexKey: randomBytes(32) });
    await reencrypt(database, people, { keyRing: rekeyed, everyRow: true });
    const index = await blindIndex(rekeyed, people.ssn, "111", { tenantId });
    expect(
      await sessions.run({}, (tx) => tx.select({ name: people.name }).from(people).where(eq(people.ssn_index, index))),
    ).toEqual([{ name: "Ada" }]);
    expect(await failureOf(reencrypt(database, people, { keyRing: oldRing }))).toMatchObject({ code: "UNKNOWN_KEY" });
  });

  test("tables in a schema, with whole numbers as keys and without tenant, work the same", async () => {
    await using fixture = await start();
    const { sessions, database } = fixture;
    const row = await encryptRow(oldRing, notes, { id: 7, region: "eu", body: "secret" });
    await sessions.run({}, (tx) => tx.insert(notes).values(row));
    await reencrypt(database, notes, { keyRing: ring });
    const rows = await sessions.run({}, (tx) => tx.select().from(notes));
    expect(await decryptRows(newRing, notes, rows)).toEqual([{ id: 7, region: "eu", body: "secret" }]);
  });
});

test("re-encryption is refused where a policy would hide rows from it", async () => {
  const password = randomBytes(12).toString("hex");
  await runOnServer(
    inject("serverUrl"),
    `DO $$ BEGIN CREATE ROLE encryption_login LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
     ALTER ROLE encryption_login NOSUPERUSER NOBYPASSRLS PASSWORD '${password}';`,
  );
  await using owner = await testDatabase({ setup: SETUP });
  await owner.exec(`GRANT SELECT, UPDATE ON people TO encryption_login; ALTER TABLE people ENABLE ROW LEVEL SECURITY;
                    CREATE POLICY nothing ON people USING (false);`);
  const url = new URL(owner.url);
  url.username = "encryption_login";
  url.password = password;
  await using login = await openDatabase({ url: url.href });
  expect(await failureOf(reencrypt(login, people, { keyRing: ring }))).toMatchObject({
    code: "INSUFFICIENT_PRIVILEGE",
  });
});

test("metadata that names no column of the table is refused", () => {
  const table = pgTable("t", { id: integer().primaryKey(), body: encryptedText() });
  expect(() => defineTable(table, { encrypted: { nothing: {} } as never })).toThrow(/nothing/);
  expect(() => defineTable(table, { encrypted: { body: { blindIndex: "missing" as never } } })).toThrow(/missing/);
});
