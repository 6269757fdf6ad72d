// What the server's errors become: each one provoked on a real server, with the class a caller acts on, its fields, and no
// value of a row or a parameter in anything that gets printed.
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERROR_CODES, StewardError, type Connection, type Database } from "../../src/postgres/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { testDatabase } from "../support/test-database.ts";

const SECRET = "s3cret-value";
const SETUP = `
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, email text CONSTRAINT customers_email_key UNIQUE, "odd, name" text UNIQUE);
CREATE TABLE shop.orders (
  id int PRIMARY KEY,
  customer_id int CONSTRAINT orders_customer_fk REFERENCES shop.customers,
  note text NOT NULL,
  amount numeric(6, 2) CONSTRAINT orders_amount_check CHECK (amount > 0),
  room int,
  during tstzrange,
  CONSTRAINT orders_room_excl EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE TABLE shop.lines (a int, b int, c text, PRIMARY KEY (a, b));
CREATE DOMAIN shop.short_text AS text CONSTRAINT short_text_check CHECK (length(VALUE) < 5);
CREATE TABLE shop.labels (label text, lang text);
CREATE UNIQUE INDEX ON shop.labels (lower(label), coalesce(lang, 'none'));
INSERT INTO shop.labels VALUES (upper('${SECRET}'), NULL);
INSERT INTO shop.customers VALUES (1, '${SECRET}', '${SECRET}');
INSERT INTO shop.orders VALUES (1, 1, 'first', 1, 7, '[2024-01-01, 2024-02-01)');
INSERT INTO shop.lines VALUES (1, 2, '${SECRET}');
DO $$ BEGIN CREATE ROLE errors_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;`;

let database: Database;
beforeAll(async () => {
  database = await testDatabase({ setup: SETUP });
});
afterAll(() => database.close());

/** Everything a log, a page or an assistant could be shown. */
function printed(error: unknown): string {
  const chain: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause) {
    chain.push(
      String(current),
      current.message,
      current.stack ?? "",
      JSON.stringify(current),
      inspect(current, { depth: 10 }),
    );
  }
  return chain.join("\n");
}

function expectNoValues(error: unknown): void {
  expect(error).toBeInstanceOf(StewardError);
  expect(printed(error)).not.toContain(SECRET);
}

const cases: readonly {
  readonly what: string;
  readonly text: string;
  readonly values?: readonly unknown[];
  readonly error: Readonly<Record<string, unknown>>;
}[] = [
  {
    what: "unique violation",
    text: "INSERT INTO shop.customers VALUES (2, $1)",
    values: [SECRET],
    error: {
      code: "UNIQUE_VIOLATION",
      sqlState: "23505",
      constraint: "customers_email_key",
      schema: "shop",
      table: "customers",
      columns: ["email"],
    },
  },
  {
    what: "unique violation of a column whose name has a comma",
    text: `INSERT INTO shop.customers (id, "odd, name") VALUES (2, $1)`,
    values: [SECRET],
    error: { code: "UNIQUE_VIOLATION", columns: ["odd, name"] },
  },
  {
    what: "unique violation of an index on expressions",
    text: "INSERT INTO shop.labels VALUES ($1, NULL)",
    values: [SECRET],
    error: { code: "UNIQUE_VIOLATION", columns: ["lower(label)", "COALESCE(lang, 'none'::text)"] },
  },
  {
    what: "unique violation over two columns",
    text: "INSERT INTO shop.lines VALUES (1, 2, $1)",
    values: [SECRET],
    error: { code: "UNIQUE_VIOLATION", constraint: "lines_pkey", columns: ["a", "b"] },
  },
  {
    what: "foreign key violation of a child",
    text: "INSERT INTO shop.orders (id, customer_id, note) VALUES (2, 99, $1)",
    values: [SECRET],
    error: {
      code: "FOREIGN_KEY_VIOLATION",
      sqlState: "23503",
      constraint: "orders_customer_fk",
      table: "orders",
      columns: ["customer_id"],
    },
  },
  {
    what: "foreign key violation of a parent",
    text: "DELETE FROM shop.customers WHERE email = $1",
    values: [SECRET],
    error: { code: "FOREIGN_KEY_VIOLATION", sqlState: "23503", constraint: "orders_customer_fk" },
  },
  {
    what: "check violation",
    text: "INSERT INTO shop.orders (id, note, amount) VALUES (2, $1, -1)",
    values: [SECRET],
    error: { code: "CHECK_VIOLATION", sqlState: "23514", constraint: "orders_amount_check", table: "orders" },
  },
  {
    what: "check violation of a domain",
    text: "SELECT $1::shop.short_text",
    values: [SECRET],
    error: { code: "CHECK_VIOLATION", sqlState: "23514", constraint: "short_text_check" },
  },
  {
    what: "not-null violation",
    text: "INSERT INTO shop.orders (id, room, note) VALUES (2, 1, nullif($1, $1))",
    values: [SECRET],
    error: { code: "NOT_NULL_VIOLATION", sqlState: "23502", table: "orders", columns: ["note"] },
  },
  {
    what: "exclusion violation",
    text: "INSERT INTO shop.orders (id, note, room, during) VALUES (2, $1, 7, '[2024-01-15, 2024-01-16)')",
    values: [SECRET],
    error: { code: "EXCLUSION_VIOLATION", sqlState: "23P01", constraint: "orders_room_excl", table: "orders" },
  },
  {
    what: "a text that is no UUID",
    text: "SELECT $1::uuid",
    values: [SECRET],
    error: { code: "INVALID_VALUE", sqlState: "22P02" },
  },
  {
    what: "a text that is no number",
    text: "SELECT $1::int",
    values: [SECRET],
    error: { code: "INVALID_VALUE", sqlState: "22P02" },
  },
  {
    what: "a text that is no JSON",
    text: "SELECT $1::jsonb",
    values: [SECRET],
    error: { code: "INVALID_VALUE", sqlState: "22P02" },
  },
  {
    what: "a text that is no time",
    text: "SELECT $1::timestamptz",
    values: [SECRET],
    error: { code: "INVALID_VALUE", sqlState: "22007" },
  },
  {
    what: "a number out of range",
    text: "SELECT $1::int2",
    values: [70_000],
    error: { code: "INVALID_VALUE", sqlState: "22003" },
  },
  {
    what: "a division by zero",
    text: "SELECT 1 / $1::int",
    values: [0],
    error: { code: "INVALID_VALUE", sqlState: "22012" },
  },
  { what: "a syntax error", text: "SELEC 1", error: { code: "INVALID_SQL", sqlState: "42601", position: 1 } },
  {
    what: "an unknown table",
    text: "SELECT * FROM nowhere",
    error: { code: "INVALID_SQL", sqlState: "42P01", position: 15 },
  },
  {
    what: "an unknown column",
    text: "SELECT nothing FROM shop.lines",
    error: { code: "INVALID_SQL", sqlState: "42703" },
  },
  { what: "an unknown function", text: "SELECT nothing(1)", error: { code: "INVALID_SQL", sqlState: "42883" } },
  {
    what: "an unknown schema",
    text: "CREATE TABLE nowhere.t (a int)",
    error: { code: "INVALID_SQL", sqlState: "3F000" },
  },
  {
    what: "an error raised by a function",
    text: "DO $$ BEGIN RAISE EXCEPTION 'stop' USING ERRCODE = 'P0001'; END $$",
    error: { code: "SERVER_ERROR", sqlState: "P0001" },
  },
];

for (const { what, text, values, error } of cases) {
  test(`${what} is ${String(error["code"])}`, async () => {
    const thrown = await failureOf(database.query(text, values ?? []));
    expect(thrown).toMatchObject(error);
    expectNoValues(thrown);
  });
}

test("a text that is too long for its column shows no value", async () => {
  await database.exec("CREATE TABLE IF NOT EXISTS shop.codes (code varchar(3))");
  const thrown = await failureOf(database.query("INSERT INTO shop.codes VALUES ($1)", [SECRET]));
  expect(thrown).toMatchObject({ code: "INVALID_VALUE", sqlState: "22001" });
  expectNoValues(thrown);
});

describe("errors of the moment", () => {
  const two = async (work: (first: Connection, second: Connection) => Promise<unknown>): Promise<unknown> => {
    await using first = await database.connect();
    await using second = await database.connect();
    try {
      return await work(first, second);
    } finally {
      for (const connection of [first, second])
        if (connection.transactionStatus !== "idle") await connection.exec("ROLLBACK");
    }
  };

  test("a serialization failure", async () => {
    const thrown = await two(async (first, second) => {
      await first.exec("BEGIN ISOLATION LEVEL REPEATABLE READ");
      await first.query("SELECT * FROM shop.lines");
      await second.query("UPDATE shop.lines SET c = $1", [SECRET]);
      return failureOf(first.query("UPDATE shop.lines SET c = $1", [SECRET]));
    });
    expect(thrown).toMatchObject({ code: "SERIALIZATION_FAILURE", sqlState: "40001" });
    expectNoValues(thrown);
  });

  test("a deadlock", async () => {
    const thrown = await two(async (first, second) => {
      await first.exec("BEGIN; SET LOCAL deadlock_timeout = '50ms'; UPDATE shop.lines SET c = c");
      await second.exec("BEGIN; SET LOCAL deadlock_timeout = '50ms'; UPDATE shop.customers SET email = email");
      const waits = first.query("UPDATE shop.customers SET email = email");
      const closes = second.query("UPDATE shop.lines SET c = c");
      const results = await Promise.allSettled([waits, closes]);
      return results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
    });
    expect(thrown).toMatchObject([{ code: "DEADLOCK", sqlState: "40P01" }]);
    expect(printed((thrown as unknown[])[0])).not.toContain(SECRET);
  });

  test("a lock that is not free", async () => {
    const thrown = await two(async (first, second) => {
      await first.exec("BEGIN; SELECT * FROM shop.lines FOR UPDATE");
      return [
        await failureOf(second.query("SELECT * FROM shop.lines FOR UPDATE NOWAIT")),
        await failureOf(
          second.batch([
            { text: "SELECT set_config('lock_timeout', '20', true)" },
            { text: "UPDATE shop.lines SET c = c" },
          ]),
        ),
      ];
    });
    expect(thrown).toMatchObject([
      { code: "LOCK_NOT_AVAILABLE", sqlState: "55P03" },
      { code: "LOCK_NOT_AVAILABLE", sqlState: "55P03", statementIndex: 1 },
    ]);
  });

  test("a statement over its time", async () => {
    const thrown = await failureOf(database.query("SELECT pg_sleep(10)", [], { timeoutMs: 30 }));
    expect(thrown).toMatchObject({ code: "STATEMENT_TIMEOUT", sqlState: "57014" });
  });

  test("a cancelled statement", async () => {
    const thrown = await failureOf(database.query("SELECT pg_sleep(10)", [], { signal: AbortSignal.timeout(100) }));
    expect(thrown).toMatchObject({ code: "CANCELLED" });
  });

  test("a write in a read-only transaction", async () => {
    const thrown = await failureOf(
      database.batch([
        { text: "SET TRANSACTION READ ONLY" },
        { text: "DELETE FROM shop.lines WHERE c = $1", values: [SECRET] },
      ]),
    );
    expect(thrown).toMatchObject({ code: "READ_ONLY", sqlState: "25006", statementIndex: 1 });
    expectNoValues(thrown);
  });

  test("a missing right", async () => {
    const thrown = await failureOf(
      database.batch([
        { text: "SET LOCAL ROLE errors_test_app" },
        { text: "SELECT * FROM shop.lines WHERE c = $1", values: [SECRET] },
      ]),
    );
    expect(thrown).toMatchObject({ code: "INSUFFICIENT_PRIVILEGE", sqlState: "42501" });
    expectNoValues(thrown);
  });

  test("a transaction that idles for too long", async () => {
    await using connection = await database.connect();
    const { rows } = await connection.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await connection.exec("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 30");
    const isThere = async (): Promise<number | null> =>
      (await database.query("SELECT FROM pg_stat_activity WHERE pid = $1", [rows[0]?.pid])).rowCount;
    await expect.poll(isThere).toBe(0);
    const thrown = await failureOf(connection.query("SELECT 1"));
    expect(thrown).toMatchObject({ code: expect.stringMatching(/^(TRANSACTION_TIMEOUT|CONNECTION_LOST)$/) as string });
  });

  test("a limit of the server", async () => {
    const thrown = await failureOf(
      database.query(`SELECT ${"(".repeat(10)}1${")".repeat(10)} ${"+ 1".repeat(60_000)}`),
    );
    expect(thrown).toMatchObject({ code: expect.stringMatching(/^(OUT_OF_RESOURCES|INVALID_VALUE)$/) as string });
  });
});

test("every error in a query that a constraint function raises keeps the values out of its context", async () => {
  await database.exec(`CREATE FUNCTION shop.complain() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN EXECUTE format('SELECT %L::int', NEW.c); RETURN NEW; END $$;
    CREATE TABLE shop.watched (c text);
    CREATE TRIGGER complain BEFORE INSERT ON shop.watched FOR EACH ROW EXECUTE FUNCTION shop.complain();`);
  const thrown = await failureOf(database.query("INSERT INTO shop.watched VALUES ($1)", [SECRET]));
  expect(thrown).toMatchObject({ sqlState: "22P02" });
  expectNoValues(thrown);
});

test("each code has an HTTP status and an exit code", () => {
  for (const [code, { httpStatus, exitCode }] of Object.entries(ERROR_CODES)) {
    expect(code).toMatch(/^[A-Z][A-Z_]+$/);
    expect(httpStatus).toBeGreaterThanOrEqual(400);
    expect(httpStatus).toBeLessThan(600);
    expect([64, 65, 69, 70, 73, 75, 77, 78, 130]).toContain(exitCode);
  }
});
