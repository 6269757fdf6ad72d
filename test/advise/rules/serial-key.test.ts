import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, database } = ruleCases("serial-key");

describe("serial-key", () => {
  test("a serial key is reported, and the fix goes on counting where the sequence stood", async () => {
    const { findings } = await check(`
      CREATE TABLE app.todos (id serial PRIMARY KEY, body text);
      INSERT INTO app.todos (body) VALUES ('a'), ('b'), ('c');
      DELETE FROM app.todos WHERE id = 3;`);
    expect(findings).toMatchObject([{ subject: { kind: "column", table: "todos", name: "id" }, columns: ["id"] }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    const { rows } = await database().query("INSERT INTO app.todos (body) VALUES ('d') RETURNING id");
    expect(rows).toEqual([{ id: 4 }]);
  });

  test("keys larger than the sequence knows are not handed out again by the fix", async () => {
    const { findings } = await check(`
      CREATE TABLE app."To dos" ("the Id" bigserial PRIMARY KEY);
      INSERT INTO app."To dos" VALUES (10);`);
    await checkAfterFix(findings[0]);
    const { rows } = await database().query('INSERT INTO app."To dos" DEFAULT VALUES RETURNING "the Id" AS id');
    expect(Number(rows[0]?.["id"])).toBe(11);
  });

  test("a default on a sequence that nobody owns is the same", async () => {
    const { findings } = await check(`
      CREATE SEQUENCE app.numbers;
      CREATE TABLE app.todos (id bigint PRIMARY KEY DEFAULT nextval('app.numbers'));`);
    expect(subjectsOf(findings)).toEqual(["todos.id"]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a unique column and a partitioned table are reported too", async () => {
    const { findings } = await check(`
      CREATE TABLE app.orders (id uuid PRIMARY KEY, number serial UNIQUE);
      CREATE TABLE app.events (id serial, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE app.events_1 PARTITION OF app.events DEFAULT;`);
    expect(subjectsOf(findings)).toEqual(["events.id", "orders.number"]);
    expect(findings[0]?.fix.sql).toBeUndefined();
  });

  test("a sequence that two columns share is left to a person", async () => {
    const { findings } = await check(`
      CREATE TABLE app.a (id serial PRIMARY KEY);
      CREATE TABLE app.b (id int PRIMARY KEY DEFAULT nextval('app.a_id_seq'));`);
    expect(findings.map((finding) => finding.fix.sql)).toEqual([undefined, undefined]);
  });

  test("identity, UUID and serial columns that are no key are right", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.todos (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, position serial);
      CREATE TABLE app.notes (id uuid PRIMARY KEY DEFAULT uuidv7());`);
    expect(findings).toEqual([]);
    expect(examined).toBe(2);
  });

  test("it can be silenced for a column", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.todos (id serial PRIMARY KEY)", {
      silence: [{ rule: "serial-key", subject: "app.todos.id", reason: "old clients" }],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
