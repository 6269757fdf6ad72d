import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain, database } = ruleCases("tenant-foreign-key-without-tenant");
const CHATS = "CREATE TABLE app.chats (tenant_id int NOT NULL, id int PRIMARY KEY);";

describe("tenant-foreign-key-without-tenant", () => {
  test("a foreign key without the tenant is reported, and the fix refuses references across tenants", async () => {
    const { findings } = await check(`${CHATS}
      CREATE TABLE app.messages (tenant_id int NOT NULL, chat_id int REFERENCES app.chats ON DELETE CASCADE);
      INSERT INTO app.chats VALUES (1, 10); INSERT INTO app.messages VALUES (1, 10);`);
    expect(findings).toMatchObject([{ subject: { table: "messages", name: "messages_chat_id_fkey" } }]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
    await expect(database().query("INSERT INTO app.messages VALUES (2, 10)")).rejects.toThrow("foreign key");
    await database().query("DELETE FROM app.chats");
    expect((await database().query("SELECT FROM app.messages")).rowCount).toBe(0);
  });

  test("the fix fails and changes nothing while a row references another tenant's", async () => {
    const { findings } = await check(`${CHATS}
      CREATE TABLE app.messages (tenant_id int NOT NULL, chat_id int REFERENCES app.chats);
      INSERT INTO app.chats VALUES (1, 10); INSERT INTO app.messages VALUES (2, 10);`);
    await expect(checkAfterFix(findings[0])).rejects.toThrow("foreign key");
    expect((await checkAgain()).findings).toHaveLength(1);
  });

  test("actions that would empty the tenant are left to a person", async () => {
    const { findings } = await check(
      `${CHATS} CREATE TABLE app.messages (tenant_id int NOT NULL, chat_id int REFERENCES app.chats ON DELETE SET NULL)`,
    );
    expect(findings[0]?.fix.sql).toBeUndefined();
  });

  test("foreign keys with the tenant, and those to tables without one, are right", async () => {
    const { findings, examined } = await check(`
      CREATE TABLE app.plans (id int PRIMARY KEY);
      CREATE TABLE app.chats (tenant_id int NOT NULL, id int, plan_id int REFERENCES app.plans, PRIMARY KEY (tenant_id, id));
      CREATE TABLE app.messages (tenant_id int NOT NULL, chat_id int, FOREIGN KEY (chat_id, tenant_id) REFERENCES app.chats (id, tenant_id));
      CREATE TABLE app.swapped (tenant_id int NOT NULL, chat_id int, FOREIGN KEY (chat_id, tenant_id) REFERENCES app.chats (tenant_id, id));`);
    expect(subjectsOf(findings)).toEqual(["swapped.swapped_chat_id_tenant_id_fkey"]);
    expect(examined).toBe(2);
  });

  test("it can be silenced", async () => {
    const { findings, silenced } = await check(
      `${CHATS} CREATE TABLE app.messages (tenant_id int NOT NULL, chat_id int REFERENCES app.chats)`,
      {
        silence: [
          { rule: "tenant-foreign-key-without-tenant", subject: "app.messages.chat_id", reason: "chats are shared" },
        ],
      },
    );
    expect(findings).toEqual([]);
    expect(silenced).toHaveLength(1);
  });
});
