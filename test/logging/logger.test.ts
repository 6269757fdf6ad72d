import { expect, test } from "vitest";
import { createLogger, redactText, withLogIds, type LoggerOptions } from "../../src/logging/index.ts";

function capture(options: LoggerOptions = {}) {
  const lines: string[] = [];
  const logger = createLogger({ pretty: false, destination: { write: (line) => lines.push(line) }, ...options });
  return { logger, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test("a line is one JSON object with level, time, message and the fields", () => {
  const { logger, parsed, lines } = capture();
  logger.info({ table: "todos", rows: 3 }, "counted");
  expect(lines[0]).toMatch(/\}\n$/);
  expect(parsed()).toEqual([
    { level: "info", time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), table: "todos", rows: 3, msg: "counted" },
  ]);
});

test("a line below the level is not written", () => {
  const { logger, lines } = capture({ level: "warn" });
  logger.info("no");
  logger.warn("yes");
  expect(lines).toHaveLength(1);
});

test("child loggers carry request, tenant, agent and session ids, and leave missing ones out", () => {
  const { logger, parsed } = capture();
  const child = withLogIds(logger, { requestId: "r1", tenantId: "t1", agentId: undefined });
  withLogIds(child, { sessionId: "s1" }).info("x");
  expect(parsed()[0]).toMatchObject({ requestId: "r1", tenantId: "t1", sessionId: "s1" });
  expect(parsed()[0]).not.toHaveProperty("agentId");
});

test("secrets are taken out at any depth, in child ids, in messages and in errors with their causes", () => {
  const { logger, lines } = capture();
  const secrets = [
    "hunter2",
    "p@ss/word",
    "abc.def-ghi",
    "sk-abcdefghijklmnop1234",
    "eyJhbGciOi.eyJzdWIiOi.sig-1",
    "top secret",
  ];
  const cause = new Error("connect postgres://bob:hunter2@db.example/app failed");
  logger.error({ err: new Error("could not start with password=hunter2", { cause }) }, "no start");
  logger.info({ a: { b: [{ c: { d: { password: "hunter2", API_KEY: "top secret", "x-api-key": "top secret" } } }] } });
  logger.info({ headers: { Authorization: "Bearer abc.def-ghi", cookie: "sid=hunter2" } });
  logger.child({ token: "hunter2" }).info("url %s", "postgresql://u:p@ss/word@host:5432/x?sslmode=require");
  logger.info("Bearer abc.def-ghi and sk-abcdefghijklmnop1234 and eyJhbGciOi.eyJzdWIiOi.sig-1");
  logger.info(`host=h user=u password='top secret' dbname=d; ALTER ROLE x PASSWORD 'hunter2'`);
  logger.warn("postgres:/bob:hunter2@db/app, postgres:bob:hunter2@db/app and bob:hunter2@db:5432/app are no URLs");
  const all = lines.join("");
  for (const secret of secrets) expect(all).not.toContain(secret);
  expect(all).toContain("postgres://bob:[redacted]@db.example/app");
  expect(all).toContain("postgresql://u:[redacted]@host:5432/x?sslmode=require");
});

test("text without secrets stays as it is", () => {
  for (const text of [
    "SELECT id, token_count FROM agents.executions WHERE created_at > $1",
    "postgres://localhost:5432/app",
    "http://127.0.0.1:7420/health",
    "the password is wrong",
    "pglite:./data",
    "C:\\work\\node_modules\\@types and file:///work/node_modules/@types/pg.js:10:5",
    "git@github.com:team/app.git at 10:30, user bob@db.example",
  ]) {
    expect(redactText(text)).toBe(text);
  }
});

test("pretty text is readable, keeps the fields and hides secrets too", () => {
  const { logger, lines } = capture({ pretty: true, colors: false });
  logger.warn({ url: "postgres://u:hunter2@h/d" }, "slow");
  const text = lines.join("");
  expect(text).toContain("WARN");
  expect(text).toContain("slow");
  expect(text).toContain("u:[redacted]@h/d");
});
