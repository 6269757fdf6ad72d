// Rows read from the socket's bytes: whatever the pieces the bytes come in, the same messages reach the same receivers in the
// same order, and a result holds the values that the driver itself would read.
import fc from "fast-check";
import pg from "pg";
import { expect, test } from "vitest";
import { MessageSplitter, RowTexts, type RowReceiver } from "../../src/postgres/row-messages.ts";
import { testDatabase } from "../support/test-database.ts";

function message(type: string, payload: Buffer): Buffer {
  const header = Buffer.alloc(5, type);
  header.writeInt32BE(payload.length + 4, 1);
  return Buffer.concat([header, payload]);
}

function rowOf(values: readonly (string | null)[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(values.length);
  const fields = values.flatMap((value) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value === null ? -1 : Buffer.byteLength(value));
    return value === null ? [length] : [length, Buffer.from(value)];
  });
  return Buffer.concat([count, ...fields]);
}

/** Cuts `bytes` at the given shares of its length. */
function pieces(bytes: Buffer, shares: readonly number[]): Buffer[] {
  const cuts = [0, ...shares.map((share) => Math.round(share * bytes.length)).toSorted((a, b) => a - b), bytes.length];
  return cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
}

const messages = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant("D"),
      values: fc.array(fc.option(fc.string({ unit: "grapheme", maxLength: 90 })), { maxLength: 6 }),
    }),
    fc.record({ type: fc.constantFrom("2", "C", "Z", "T"), text: fc.string({ maxLength: 40 }) }),
  ),
  { maxLength: 30 },
);
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

test("messages cut anywhere arrive whole and in their order: rows at the receiver, all others at the driver", () => {
  fc.assert(
    fc.property(messages, cuts, (sent, shares) => {
      const texts = new RowTexts();
      const seen: unknown[] = [];
      let passed = Buffer.alloc(0);
      const settle = (): void => {
        if (passed.length > 0) seen.push(passed.toString("latin1"));
        passed = Buffer.alloc(0);
      };
      const receiver: RowReceiver = {
        receiveRow(bytes, start) {
          settle();
          seen.push([...texts.read(bytes, start)]);
        },
      };
      const splitter = new MessageSplitter(
        () => receiver,
        (bytes) => {
          passed = Buffer.concat([passed, bytes]);
        },
      );
      const expected: unknown[] = [];
      const all = sent.map((one) => {
        if ("values" in one) {
          expected.push(one.values);
          return message("D", rowOf(one.values));
        }
        const bytes = message(one.type, Buffer.from(one.text));
        if (typeof expected.at(-1) === "string") expected.push(`${String(expected.pop())}${bytes.toString("latin1")}`);
        else expected.push(bytes.toString("latin1"));
        return bytes;
      });
      for (const piece of pieces(Buffer.concat(all), shares)) splitter.read(piece);
      settle();
      expect(seen).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("with no receiver every byte goes on to the driver, and a receiver may come and go between two messages", () => {
  fc.assert(
    fc.property(messages, cuts, (sent, shares) => {
      const all = Buffer.concat(
        sent.map((one) =>
          "values" in one ? message("D", rowOf(one.values)) : message(one.type, Buffer.from(one.text)),
        ),
      );
      const passed: Buffer[] = [];
      const splitter = new MessageSplitter(
        () => undefined,
        (bytes) => passed.push(bytes),
      );
      for (const piece of pieces(all, shares)) splitter.read(piece);
      // The bytes of a header that is cut stay behind until they are whole.
      expect(Buffer.concat(passed).equals(all)).toBe(true);
    }),
    { numRuns: 200 },
  );
  const rows: string[] = [];
  const passed: string[] = [];
  const receiver: RowReceiver = {
    receiveRow: (bytes, start) => rows.push(bytes.toString("latin1", start + 6, start + 7)),
  };
  let current: RowReceiver | undefined = receiver;
  const splitter = new MessageSplitter(
    () => current,
    (bytes) => {
      passed.push(bytes.toString("latin1"));
      if (bytes.includes("stop")) current = undefined;
    },
  );
  splitter.read(
    Buffer.concat([message("D", rowOf(["a"])), message("C", Buffer.from("stop")), message("D", rowOf(["b"]))]),
  );
  expect(rows).toEqual(["a"]);
  expect(passed.join("")).toContain("stop");
  expect(passed.join("")).toContain("b");
});

test("a value that repeats the one above it is read right, whatever its length, NULL and the empty text between them", () => {
  const texts = new RowTexts();
  const long = "é".repeat(500);
  const rows = [
    ["a", long],
    ["a", long],
    [null, `${long}!`],
    ["a", null],
    ["", "aa"],
    ["", "ab"],
    ["b", ""],
    ["é", "ab"],
  ];
  const read = rows.map((row) => [...texts.read(rowOf(row), 0)]);
  expect(read).toEqual(rows);
});

test("a result read by a batch equals the driver's own, for values of every size, NULL, and texts of several bytes a letter", async () => {
  await using database = await testDatabase();
  const text = `
SELECT n, CASE WHEN n % 3 = 0 THEN NULL ELSE 'schön 🐘 ' || n END AS name, repeat('ü', n % 5 * 40000) AS long, n / 10 AS tenth,
  ARRAY[n, NULL] AS list, jsonb_build_object('n', n) AS document, timestamptz 'epoch' + n * interval '1 second' AS at, ''::text AS nothing
FROM generate_series(1, 200) AS n`;
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const own = await database.query(text);
    const driver = await client.query(text);
    expect(own.rows).toEqual(driver.rows);
    expect(own.rowCount).toBe(200);
    const arrays = await client.query({ text, rowMode: "array" });
    const [ownArrays] = await database.batch([{ text, rowMode: "array" }]);
    expect(ownArrays?.rows).toEqual(arrays.rows);
  } finally {
    await client.end();
  }
});
