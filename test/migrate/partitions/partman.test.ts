import { expect, test } from "vitest";
import { parseSqlScript } from "../../../src/migrate/index.ts";
import { partmanStatements } from "../../../src/migrate/partitions/partman.ts";
import { InvalidInputError } from "../../../src/postgres/index.ts";

const family = {
  schema: "shop",
  table: "events",
  owner: "app",
  strategy: "range",
  key: [{ name: "at", type: "timestamp with time zone" }],
  partitions: [],
  takenNames: [],
  retired: [],
  hasDefaultRows: false,
} as const;
const policy = { kind: "range", schema: "shop", table: "events", every: "month", ahead: 4, keep: 12 } as const;
const partman = { schema: "partman", version: "5.2.4", isConfigured: false };

test("a policy becomes pg_partman's configuration: the table is handed over once, then its settings are written", async () => {
  const statements = partmanStatements(family, { ...policy, retire: { moveTo: "archive" } }, partman);
  expect(statements).toEqual([
    `SELECT "partman"."create_parent"(p_parent_table := 'shop.events', p_control := 'at', p_interval := '1 month', p_premake := 4)`,
    `UPDATE "partman"."part_config" SET premake = 4, retention = '12 months', retention_keep_table = true, retention_schema = 'archive', infinite_time_partitions = true WHERE parent_table = 'shop.events'`,
    `SELECT "partman"."run_maintenance"(p_parent_table := 'shop.events')`,
  ]);
  expect((await parseSqlScript(`${statements.join(";\n")};`, "partman")).statements).toHaveLength(3);
  const configured = partmanStatements(
    family,
    { ...policy, keep: undefined, retire: "drop" },
    { ...partman, isConfigured: true },
  );
  expect(configured).toEqual([
    expect.stringContaining("retention = NULL, retention_keep_table = false, retention_schema = NULL"),
    expect.stringContaining("run_maintenance"),
  ]);
});

test("a pg_partman whose functions take other arguments is refused", () => {
  expect(() => partmanStatements(family, policy, { ...partman, version: "4.7.4" })).toThrow(InvalidInputError);
});
