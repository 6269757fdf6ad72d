import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check } = ruleCases("tenant-unique-without-tenant");

describe("tenant-unique-without-tenant", () => {
  test("unique constraints and indexes without the tenant are reported", async () => {
    const { findings } = await check(`
      CREATE TABLE app.users (tenant_id uuid NOT NULL, id uuid PRIMARY KEY, email text UNIQUE, name text);
      CREATE UNIQUE INDEX by_name ON app.users (lower(name));`);
    expect(subjectsOf(findings)).toEqual(["users.by_name", "users.users_email_key"]);
  });

  test("with the tenant, of UUIDs only, and outside tenant tables they are right", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.users (tenant_id uuid NOT NULL, id uuid PRIMARY KEY, email text, token uuid UNIQUE, UNIQUE (email, tenant_id));
      CREATE UNIQUE INDEX ON app.users ((tenant_id::text || email));
      CREATE TABLE app.plans (name text UNIQUE);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(3);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check("CREATE TABLE app.users (tenant_id uuid NOT NULL, email text UNIQUE)", {
      silence: [
        { rule: "tenant-unique-without-tenant", subject: "app.users.email", reason: "one login for all tenants" },
      ],
    });
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
