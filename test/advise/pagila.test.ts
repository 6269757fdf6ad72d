// A public sample schema (partitions, domains, views, full text, vectors). The expectations were written by hand from the SQL,
// not copied from the output. It needs pgvector and uuidv7(), so it runs on PGlite.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCheck, subjectPath, type CheckReport } from "../../src/advise/index.ts";
import { testPglite, type TestDatabase } from "../support/test-database.ts";

let database: TestDatabase;
let report: CheckReport;

beforeAll(async () => {
  database = await testPglite();
  const script = await readFile(new URL("../data/pagila/schema.sql", import.meta.url), "utf8");
  await database.exec(script);
  report = await runCheck(database);
});
afterAll(async () => {
  await database.close();
});

const found = (rule: string): string[] => report.findings.filter((finding) => finding.rule === rule).map(subjectPath);
/** Keys that count: each of these tables has `{table}_id integer DEFAULT nextval(…)` in its primary key. */
const COUNTED = [
  "actor",
  "address",
  "category",
  "city",
  "country",
  "customer",
  "film",
  "inventory",
  "language",
  "payment",
  "rental",
  "staff",
  "store",
];
/** The three others have keys made of foreign keys. */
const TABLES = [...COUNTED, "film_actor", "film_category", "film_embedding"].toSorted();
/** Partitions 2022_01 to 2022_06 have foreign keys and indexes that the parent and the other partitions lack. */
const FIRST_PARTITIONS = [1, 2, 3, 4, 5, 6].map((month) => `payment_p2022_0${month}`);

describe("pagila", () => {
  test("has 16 tables, 55 partitions and 8 views, one of them materialized", () => {
    expect(report.examined).toMatchObject({ tables: 16, partitions: 55, views: 8 });
  });

  test("every table has a primary key", () => {
    expect(found("primary-key-missing")).toEqual([]);
  });

  test("13 keys are counted integers from sequences", () => {
    expect(found("primary-key-not-uuid")).toEqual(COUNTED.map((table) => `public.${table}.${table}_pkey`));
    expect(found("serial-key")).toEqual(COUNTED.map((table) => `public.${table}.${table}_id`));
  });

  test("foreign keys without an index", () => {
    expect(found("foreign-key-without-index")).toEqual(
      [
        // The primary key begins with film_id.
        "public.film_category.film_category_category_id_fkey",
        // Only idx_store_id_film_id holds film_id, in the second place.
        "public.inventory.inventory_film_id_fkey",
        // Only the unique index on (rental_date, inventory_id, customer_id) holds customer_id.
        "public.rental.rental_customer_id_fkey",
        "public.rental.rental_staff_id_fkey",
        "public.staff.staff_address_id_fkey",
        "public.staff.staff_store_id_fkey",
        "public.store.store_address_id_fkey",
        // Foreign keys of single partitions: customer_id and staff_id are indexed there, rental_id is not.
        ...FIRST_PARTITIONS.map((partition) => `public.${partition}.${partition}_rental_id_fkey`),
      ].toSorted(),
    );
  });

  test("six partitions have two indexes on customer_id", () => {
    expect(found("duplicate-index")).toEqual(
      FIRST_PARTITIONS.map((partition) => `public.${partition}.${partition}_customer_id_idx`),
    );
  });

  test("no index is the beginning of another, none is invalid", () => {
    expect(found("index-covered-by-another")).toEqual([]);
    expect(found("invalid-index")).toEqual([]);
  });

  test("all times have a time zone, and there is no json", () => {
    expect(found("timestamp-without-time-zone")).toEqual([]);
    expect(found("json-instead-of-jsonb")).toEqual([]);
  });

  test("one SECURITY DEFINER function has no search path; types and constraints are in order", () => {
    expect(found("definer-function-without-search-path")).toEqual(["public.rewards_report"]);
    for (const rule of [
      "unsuitable-column-type",
      "foreign-key-type-mismatch",
      "nullable-composite-foreign-key",
      "constraint-not-validated",
    ]) {
      expect(found(rule)).toEqual([]);
    }
  });

  test("no table has created_at and updated_at, or a comment", () => {
    expect(found("standard-columns-missing")).toEqual(TABLES.map((table) => `public.${table}`));
    expect(found("table-without-comment")).toEqual(TABLES.map((table) => `public.${table}`));
    const columns = Object.fromEntries(
      report.findings
        .filter((finding) => finding.rule === "standard-columns-missing")
        .map((finding) => [finding.subject.name, finding.columns]),
    );
    expect(columns["film"]).toEqual(["id", "created_at", "updated_at"]);
    expect(columns["film_actor"]).toEqual(["created_at", "updated_at"]);
  });

  test("there are no tenants: the tenant rules say that they examined nothing", () => {
    const tenantRules = report.rules.filter(
      (rule) => rule.rule.startsWith("tenant-") || rule.rule === "row-security-not-forced",
    );
    expect(tenantRules.length).toBeGreaterThan(5);
    for (const rule of tenantRules)
      expect(rule).toMatchObject({ examined: 0, findings: 0, note: expect.stringContaining("there are no") });
  });

  test("nothing of the extension vector is reported", () => {
    expect(report.findings.filter((finding) => /vector|halfvec|sparsevec/.test(finding.subject.name))).toEqual([]);
  });

  test("every fix that has SQL runs, and its finding is gone", async () => {
    const isIndependent = (rule: string): boolean =>
      rule === "foreign-key-without-index" || rule === "duplicate-index" || rule === "serial-key";
    for (const finding of report.findings)
      if (isIndependent(finding.rule) && finding.fix.sql !== undefined) await database.exec(finding.fix.sql);
    const after = await runCheck(database);
    const left = after.findings.filter((finding) => isIndependent(finding.rule));
    expect(left.filter((finding) => finding.fix.sql !== undefined).map(subjectPath)).toEqual([]);
    expect(left.map(subjectPath)).toEqual(
      report.findings
        .filter((finding) => isIndependent(finding.rule) && finding.fix.sql === undefined)
        .map(subjectPath),
    );
  });
});
