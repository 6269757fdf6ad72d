import { createServer } from "node:net";
import { expect, test } from "vitest";
import { testDatabase } from "../support/test-database.ts";
import { folderWith, runCli, startCli } from "./run.ts";

const READY = /Ready: (http:\/\/127\.0\.0\.1:(\d+))/;

test("start makes the tables and a sample, answers, ends on Ctrl-C; the second start finds its data", async () => {
  const cwd = folderWith();
  const first = startCli(["start", "--port", "0"], { cwd });
  const [, url = ""] = await first.waitFor(READY);
  expect(first.output().stdout).toContain("5 migrations applied");
  expect(first.output().stdout).toMatch(/tasks\.todos +4 rows/);
  expect(first.output().stdout).toContain("Examined: ");

  const health = await fetch(`${url}/health`);
  expect(health.status).toBe(200);
  expect(await health.json()).toMatchObject({ ok: true, server: { kind: "pglite" } });
  const page = await fetch(url);
  const html = await page.text();
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(page.headers.get("x-content-type-options")).toBe("nosniff");
  expect(html).toContain("tasks.todos");
  expect(html).not.toMatch(/<script|https?:\/\/(?!127\.0\.0\.1)/);
  expect((await fetch(`${url}/nothing`)).status).toBe(404);
  const wrongMethod = await fetch(url, { method: "POST" });
  expect([wrongMethod.status, wrongMethod.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  expect(wrongMethod.headers.get("x-error-code")).toBe("INVALID_INPUT");

  const beside = await runCli(["check"], { cwd });
  expect(beside.code).toBe(75);
  expect(beside.stderr).toContain("error FOLDER_IN_USE");

  first.child.kill("SIGINT");
  expect((await first.ended).code).toBe(130);

  const described = await runCli(["describe", "todos", "--json"], { cwd });
  expect(described.code).toBe(0);
  expect(JSON.parse(described.stdout)).toMatchObject({ table: { schema: "tasks", name: "todos" } });
  const unknown = await runCli(["describe", "todoz"], { cwd });
  expect(unknown.code).toBe(64);
  expect(unknown.stderr).toContain("tasks.todos");

  const second = startCli(["start", "--port", "0"], { cwd });
  await second.waitFor(READY);
  expect(second.output().stdout).toContain("found: all 5 migrations are applied");
  expect(second.output().stdout).toMatch(/tasks\.todos +4 rows/);
  second.child.kill("SIGTERM");
  expect((await second.ended).code).toBe(143);
});

test("on a server: --json prints one document, --no-sample writes no rows, tenants see only their own", async () => {
  await using database = await testDatabase();
  const bare = startCli(["start", "--port", "0", "--no-sample", "--json", "--database", database.url]);
  await bare.waitFor(/\n\}\n$/);
  const started = JSON.parse(bare.output().stdout) as {
    tables: { rows: number }[];
    sample?: unknown;
    check: { findings: unknown[] };
  };
  expect(started.tables.map(({ rows }) => rows)).toEqual([0, 0, 0, 0, 0]);
  expect(started.check.findings).toEqual([]);
  bare.child.kill("SIGINT");
  await bare.ended;

  const filled = startCli(["start", "--port", "0", "--database", database.url]);
  await filled.waitFor(READY);
  filled.child.kill("SIGINT");
  await filled.ended;
  const { rows } = await database.query<{ id: string; name: string }>(
    "SELECT id, name FROM agents.tenants ORDER BY name",
  );
  expect(rows).toHaveLength(2);
  const counts: Record<string, unknown> = {};
  for (const { id, name } of rows) {
    const [, counted] = await database.batch([
      { text: "SELECT set_config('role', 'app', true), set_config('app.tenant_id', $1, true)", values: [id] },
      { text: "SELECT count(*)::int AS todos FROM tasks.todos" },
    ]);
    counts[name] = counted?.rows[0]?.["todos"];
  }
  expect(counts).toEqual({ "Northwind Research": 3, "Åkerlund & Söner": 1 });
});

test("a port that was asked for and is taken is an error; the default one moves on", async () => {
  await using database = await testDatabase();
  const blocker = createServer();
  await new Promise<void>((listening) => blocker.listen(0, "127.0.0.1", listening));
  const address = blocker.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  try {
    const asked = await runCli(["start", "--port", String(port), "--database", database.url, "--no-sample"]);
    expect(asked.code).toBe(73);
    expect(asked.stderr).toContain(`error ADDRESS_IN_USE: port ${port}`);
  } finally {
    await new Promise((closed) => blocker.close(closed));
  }
});

test("DATABASE_URL alone does not make start write to that database", async () => {
  await using database = await testDatabase();
  const running = startCli(["start", "--port", "0"], { env: { DATABASE_URL: database.url } });
  await running.waitFor(READY);
  running.child.kill("SIGINT");
  const { stderr } = await running.ended;
  expect(stderr).toContain("DATABASE_URL is not used by start");
  const { rows } = await database.query("SELECT to_regnamespace('tasks')::text AS tasks");
  expect(rows).toEqual([{ tasks: null }]);
});

test("a broken embedded folder is a clear error and is left as it is", async () => {
  const cwd = folderWith({
    ".pgsteward/database/PG_VERSION": "18\n",
    ".pgsteward/database/global/pg_control": "broken",
  });
  const { code, stderr } = await runCli(["start", "--port", "0"], { cwd });
  expect(stderr).toMatch(/^.*\n?error FOLDER_BROKEN: /m);
  expect(code).toBe(65);
});
