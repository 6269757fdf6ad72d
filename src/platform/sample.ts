// A small sample of two tenants, so that the first look at the platform shows rows and what one tenant sees of them.
import type { Database, Statement } from "../postgres/index.ts";

export interface SampleResult {
  /** False when a table held rows already: nothing was written. */
  readonly wasWritten: boolean;
  readonly rows: number;
}

/** The platform's tables that exist today. */
export const PLATFORM_TABLES = [
  { schema: "agents", name: "tenants" },
  { schema: "messaging", name: "chats" },
  { schema: "messaging", name: "messages" },
  { schema: "tasks", name: "todos" },
  { schema: "agents", name: "executions" },
] as const;

// The size on disk, not a count: row-level security would hide rows from an owner who is no superuser. A table that ever
// held a row keeps its first page until VACUUM, so "empty" errs on the side of writing nothing.
const EMPTY_SQL = `
SELECT coalesce(sum(pg_catalog.pg_relation_size(pg_catalog.format('%I.%I', t.schema, t.name)::regclass)), 0) = 0 AS "isEmpty"
FROM unnest($1::text[], $2::text[]) AS t (schema, name)`;

const TENANTS = [
  {
    name: "Northwind Research",
    chats: [
      {
        title: "Weekly report",
        messages: [
          ["system", "You write short weekly reports from the todo list."],
          ["user", "What did we finish this week?"],
          ["assistant", "Two todos were finished: the price list and the supplier call."],
        ],
      },
      { title: "Supplier questions", messages: [["user", "Which suppliers answered so far?"]] },
    ],
    todos: [
      ["Collect the price lists", "done", 2],
      ["Call the second supplier", "in_progress", 1],
      ["Archive last year's offers", "open", 4],
    ],
    executions: [
      ["report-writer", "succeeded", 1_840, 212, "0.006710"],
      ["supplier-caller", "running", 630, 0, "0.001260"],
    ],
  },
  {
    name: "Åkerlund & Söner",
    chats: [
      {
        title: "Onboarding",
        messages: [
          ["user", "Where do I find the manual?"],
          ["assistant", "In the shared folder, under Start here."],
        ],
      },
    ],
    todos: [["Translate the manual", "open", 3]],
    executions: [["translator", "failed", 920, 15, "0.002030"]],
  },
] as const;

/** Writes the sample when every table of the platform is empty. All of it travels as parameters, one tenant after the other. */
export async function writeSample(database: Database): Promise<SampleResult> {
  const { rows } = await database.query<{ isEmpty: boolean }>(EMPTY_SQL, [
    PLATFORM_TABLES.map((table) => table.schema),
    PLATFORM_TABLES.map((table) => table.name),
  ]);
  if (rows[0]?.isEmpty !== true) return { wasWritten: false, rows: 0 };
  let written = 0;
  for (const tenant of TENANTS) {
    const made = await database.query<{ id: string }>("SELECT pgsteward.uuidv7()::text AS id");
    const tenantId = made.rows[0]?.id;
    const statements = sampleStatements(tenant, tenantId);
    await database.batch(statements);
    written += statements.length - 1;
  }
  return { wasWritten: true, rows: written };
}

function sampleStatements(tenant: (typeof TENANTS)[number], tenantId: string | undefined): Statement[] {
  const statements: Statement[] = [
    { text: "SELECT pg_catalog.set_config('app.tenant_id', $1::text, true)", values: [tenantId] },
    { text: "INSERT INTO agents.tenants (id, name) VALUES ($1::uuid, $2::text)", values: [tenantId, tenant.name] },
  ];
  for (const chat of tenant.chats) {
    statements.push({
      text: "INSERT INTO messaging.chats (tenant_id, title) VALUES ($1::uuid, $2::text)",
      values: [tenantId, chat.title],
    });
    for (const [index, [role, content]] of chat.messages.entries()) {
      statements.push({
        text: `
INSERT INTO messaging.messages (tenant_id, chat_id, role, content, created_at)
SELECT c.tenant_id, c.id, $3::text, $4::text, c.created_at + $5::int * interval '1 second'
FROM messaging.chats AS c
WHERE c.tenant_id = $1::uuid AND c.title = $2::text`,
        values: [tenantId, chat.title, role, content, index],
      });
    }
  }
  for (const [title, status, priority] of tenant.todos) {
    statements.push({
      text: "INSERT INTO tasks.todos (tenant_id, title, status, priority) VALUES ($1::uuid, $2::text, $3::text, $4::smallint)",
      values: [tenantId, title, status, priority],
    });
  }
  for (const [agent, status, inputTokens, outputTokens, cost] of tenant.executions) {
    statements.push({
      text: `
INSERT INTO agents.executions (tenant_id, agent_name, status, input_tokens, output_tokens, cost_usd, started_at)
VALUES ($1::uuid, $2::text, $3::text, $4::bigint, $5::bigint, $6::numeric, now())`,
      values: [tenantId, agent, status, inputTokens, outputTokens, cost],
    });
  }
  return statements;
}
