// Pairs of random schemas are led from one to the other, back, and there again; what fails is shrunk to the features that matter.
import * as fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";
import { travel } from "./corpus.ts";
import { features, schemaPair } from "./random-schema.ts";

/** How many pairs, and from which seed: more of both for a longer search, e.g. `PGSTEWARD_RANDOM_SCHEMAS=500`. */
const RUNS = Number(process.env["PGSTEWARD_RANDOM_SCHEMAS"] ?? "10");
const SEED = Number(process.env["PGSTEWARD_RANDOM_SEED"] ?? "20260101");
const SECONDS_A_PAIR = 30;

let database: TestDatabase | undefined;

afterAll(() => database?.close());

test(
  "random schemas go up, down and up",
  async () => {
    database ??= await testDatabase();
    const shared = database;
    await fc.assert(
      fc.asyncProperty(features(10), async (drawn) => {
        const { leftAfterUp, leftAfterDown, leftAfterSecondUp, differentWhenPrinted } = await travel(shared, {
          name: "random",
          renames: [],
          ...schemaPair(drawn),
        });
        expect({ leftAfterUp, leftAfterDown, leftAfterSecondUp, differentWhenPrinted }).toEqual({
          leftAfterUp: [],
          leftAfterDown: [],
          leftAfterSecondUp: [],
          differentWhenPrinted: [],
        });
      }),
      // Shrinking takes minutes: a search that was asked for does it.
      { numRuns: RUNS, seed: SEED, endOnFailure: process.env["PGSTEWARD_RANDOM_SCHEMAS"] === undefined },
    );
  },
  RUNS * SECONDS_A_PAIR * 1_000,
);
