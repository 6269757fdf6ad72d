// Connections over TLS: the driver wraps the socket after it has begun to listen, and rows are read from the wrapped one.
import { expect, test } from "vitest";
import { openDatabase, startEmbeddedServer } from "../../src/postgres/index.ts";

/** Self-signed for localhost until 2126, made for this file; it guards nothing. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIUbKJ8Z+51pRbCM9JP1wY7byAGRSswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjExMzYyM1oYDzIxMjYxMDI5
MTEzNjIzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAS7Zt2GL+YBl2X3CwhCrAw28QVeO+qwTSZUNi1FFwF6klZexDGjEa/R
EbfwIgHsMjBXSXfHIGjV8mEV8PM3N5qWo1MwUTAdBgNVHQ4EFgQUrr1aJGOI+5wJ
ZSDDGEPjwlwzNuswHwYDVR0jBBgwFoAUrr1aJGOI+5wJZSDDGEPjwlwzNuswDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiAh2vWyT3yDrLsKu0dRMYa1
dsRuHlkMDUVKF92SqRXc6QIgHdx0Cv9UWA9NNzlOa408PWiBsJ/b56X/buozBfTJ
xUI=
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3rh071qswfhp0UiZ
JItmkn0DYfH01veuxsYV4rHjssChRANCAAS7Zt2GL+YBl2X3CwhCrAw28QVeO+qw
TSZUNi1FFwF6klZexDGjEa/REbfwIgHsMjBXSXfHIGjV8mEV8PM3N5qW
-----END PRIVATE KEY-----`;

test("rows, errors and cancelling work over TLS", async () => {
  await using server = await startEmbeddedServer();
  await using plain = await openDatabase(server.url);
  for (const [file, content] of [
    ["server.crt", CERTIFICATE],
    ["server.key", KEY],
  ])
    await plain.exec(
      `COPY (SELECT unnest(string_to_array('${content}', E'\\n'))) TO PROGRAM 'umask 077 && cat > ${file}'`,
    );
  await plain.exec("ALTER SYSTEM SET ssl = on");
  await plain.query("SELECT pg_reload_conf()");
  await expect.poll(async () => (await plain.query("SHOW ssl")).rows).toEqual([{ ssl: "on" }]);

  await using database = await openDatabase(`${server.url}?sslmode=no-verify`);
  // A backend may know of the setting before the postmaster, which answers new connections, has read the certificate.
  const tries = async (): Promise<string> => database.query("SELECT 1").then(() => "encrypted", String);
  await expect.poll(tries).toBe("encrypted");
  const { rows: facts } = await database.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
  expect(facts).toEqual([{ ssl: true }]);
  const { rows } = await database.query<{ n: number; text: string }>(
    "SELECT n, repeat('ü', n % 300) AS text FROM generate_series(1, 5000) AS n",
  );
  expect(rows.every(({ n, text }, index) => n === index + 1 && text.length === n % 300)).toBe(true);
  await expect(database.query("SELECT 1 / 0")).rejects.toMatchObject({ sqlState: "22012" });
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 100);
  await expect(database.query("SELECT pg_sleep(60)", [], { signal: abort.signal })).rejects.toMatchObject({
    code: "CANCELLED",
  });
  expect((await database.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});
