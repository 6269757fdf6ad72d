// Programs that know only the old form and programs that know only the new one write all the time, while every phase runs.
import { expect, test } from "vitest";
import type { ExpandChange } from "../../../src/migrate/index.ts";
import { LockNotAvailableError, StewardError, type Database } from "../../../src/postgres/index.ts";
import { testDatabase } from "../../support/test-database.ts";
import { planOn, runPhase } from "./support.ts";

const SETUP = `
CREATE SCHEMA shop;
CREATE TABLE shop.orders (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  writer text,
  amount integer NOT NULL DEFAULT 0 CHECK (amount >= 0)
);
CREATE INDEX ON shop.orders (amount);
CREATE VIEW shop.seen AS SELECT id, amount FROM shop.orders WHERE id <= 100;
CREATE VIEW shop.seen_through AS SELECT amount FROM shop.seen;
INSERT INTO shop.orders (amount) SELECT 0 FROM generate_series(1, 1500);`;

/** Inserts and updates under one name of the column until it is told to stop; keeps what the server confirmed. */
function startWriter(
  database: Database,
  name: string,
  column: () => string | undefined,
  mayRead: () => boolean,
  isSwitching: () => boolean,
) {
  let isRunning = true;
  const inserted: number[] = [];
  const increments = new Map<number, number>();
  const errors: { readonly code: string; readonly wasSwitching: boolean }[] = [];
  const work = (async () => {
    for (let round = 1; isRunning; round++) {
      const place = column();
      if (place === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        continue;
      }
      const row = 1 + ((round * 7) % 1_500);
      const wasSwitching = isSwitching();
      try {
        await database.query(`INSERT INTO shop.orders (writer, ${place}) VALUES ($1, $2::int4)`, [name, round]);
        inserted.push(round);
        if (!mayRead()) continue;
        await database.query(`UPDATE shop.orders SET ${place} = ${place} + 1 WHERE id = $1`, [row]);
        increments.set(row, (increments.get(row) ?? 0) + 1);
      } catch (error) {
        if (!(error instanceof StewardError)) throw error;
        errors.push({ code: error.code, wasSwitching: wasSwitching || isSwitching() });
      }
    }
  })();
  return {
    inserted,
    increments,
    errors,
    stop: async (): Promise<void> => {
      isRunning = false;
      await work;
    },
  };
}

/** Reads through views until it is told to stop. */
function startReader(database: Database) {
  let isRunning = true;
  let read = 0;
  const work = (async () => {
    for (; isRunning; read++) await database.query("SELECT count(amount) FROM shop.seen_through");
  })();
  return {
    stop: async (): Promise<number> => {
      isRunning = false;
      await work;
      return read;
    },
  };
}

async function runUnderWriters(change: ExpandChange, newName: string): Promise<void> {
  await using database = await testDatabase({ setup: SETUP });
  const { phases } = await planOn(database, change);
  let names: { readonly old: string | undefined; readonly new: string | undefined } = { old: "amount", new: undefined };
  let isFilled = false;
  /** The new program's column has another name from some moment of this time on. */
  let isSwitching = false;
  const oldWriter = startWriter(
    database,
    "old",
    () => names.old,
    () => true,
    () => isSwitching,
  );
  // The new column can be written from the first phase on, and read when the old rows are filled.
  const newWriter = startWriter(
    database,
    "new",
    () => names.new,
    () => isFilled,
    () => isSwitching,
  );
  const reader = startReader(database);
  const isRename = change.kind === "column rename";
  const path: readonly (readonly [number, "up" | "down"])[] = [
    [0, "up"],
    [1, "up"],
    [2, "up"],
    [3, "up"],
    [3, "down"],
    [3, "up"],
    [4, "up"],
    [4, "down"],
  ];
  for (const [index, direction] of path) {
    const phase = phases[index];
    if (phase === undefined) throw new Error("there is no such phase");
    // The programs of one form are gone before its names are: that is what the phases wait for.
    if (index === 4 && direction === "up" && isRename) names = { ...names, old: undefined };
    isSwitching = index === 3 && !isRename;
    for (let attempt = 1; ; attempt++) {
      try {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await runPhase(database, phase, direction);
        break;
      } catch (error) {
        if (!(error instanceof LockNotAvailableError) || attempt === 10) throw error;
      }
    }
    if (index === 1) isFilled = true;
    if (index === 0) names = { ...names, new: newName };
    if (index === 3 && !isRename) names = { ...names, new: direction === "up" ? "amount" : newName };
    if (index === 4 && direction === "down" && isRename) names = { ...names, old: "amount" };
    isSwitching = false;
  }
  await oldWriter.stop();
  await newWriter.stop();
  expect(await reader.stop()).toBeGreaterThan(0);
  // For a type, a statement of the new program may meet the moment in which its column takes the old one's name.
  for (const error of newWriter.errors) expect(error).toEqual({ code: "INVALID_SQL", wasSwitching: true });
  expect(oldWriter.errors).toEqual([]);
  expect(oldWriter.inserted.length).toBeGreaterThan(0);
  expect(newWriter.inserted.length).toBeGreaterThan(0);

  const [one, other] = isRename ? ["amount", newName] : ["amount", "amount_old"];
  const { rows: disagreeing } = await database.query(
    `SELECT * FROM shop.orders WHERE ${one ?? ""}::numeric IS DISTINCT FROM ${other ?? ""}::numeric LIMIT 5`,
  );
  expect(disagreeing).toEqual([]);
  for (const [name, writer] of Object.entries({ old: oldWriter, new: newWriter })) {
    const { rows } = await database.query(
      `SELECT amount::float8 AS amount FROM shop.orders WHERE writer = $1 ORDER BY id`,
      [name],
    );
    expect(rows.map((row) => (row as { amount: number }).amount)).toEqual(writer.inserted);
  }
  const { rows } = await database.query(
    `SELECT id, amount::float8 AS amount FROM shop.orders WHERE id <= 1500 AND amount > 0`,
  );
  const expected = new Map(oldWriter.increments);
  for (const [id, count] of newWriter.increments) expected.set(id, (expected.get(id) ?? 0) + count);
  expect(new Map(rows.map((row) => [row["id"] as number, row["amount"] as number]))).toEqual(expected);
}

test("a column changes its type while old and new programs write: no write is lost, and both columns agree", async () => {
  await runUnderWriters(
    { kind: "column type", schema: "shop", table: "orders", column: "amount", type: "bigint" },
    "amount_new",
  );
});

test("a column changes its name while old and new programs write: no write is lost, and both columns agree", async () => {
  await runUnderWriters(
    { kind: "column rename", schema: "shop", table: "orders", column: "amount", to: "total" },
    "total",
  );
});
