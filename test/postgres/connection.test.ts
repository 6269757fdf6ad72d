// What a connection is like when a call on it has failed.
import { expect, test } from "vitest";
import { failureOf } from "../support/failure-of.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";

test("a script that failed in its own transaction is not taken for idle, also when ReadyForQuery comes later than the error", async () => {
  await using proxied = await proxiedDatabase({ readyDelayMs: 30, pool: { size: 1 } });
  const { database } = proxied;
  const connection = await database.connect();
  expect(await failureOf(connection.exec("BEGIN; SELECT 1 / 0; COMMIT"))).toMatchObject({ sqlState: "22012" });
  expect(connection.transactionStatus).toBe("failed");
  connection.release();
  expect(await failureOf(database.exec("BEGIN; SELECT 1 / 0; COMMIT"))).toMatchObject({ sqlState: "22012" });
  expect((await database.query<{ one: number }>("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});

test("a script that ends its own connection is told as lost, and the next one gets another connection", async () => {
  await using proxied = await proxiedDatabase({ readyDelayMs: 30, pool: { size: 1 } });
  const { database } = proxied;
  const error = await failureOf(database.exec("SELECT pg_terminate_backend(pg_backend_pid())"));
  expect(error).toMatchObject({ code: "CONNECTION_LOST" });
  expect((await database.query<{ one: number }>("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});
