// Every way out of the process is tried against servers that count what reaches them. The units here are flags without a
// database: what a session does with a violation is tested with the session.
import childProcess from "node:child_process";
import dns from "node:dns";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import * as undici from "undici";
import {
  allowExternal,
  createGuardState,
  driverIO,
  ExternalCallInUnitError,
  runInUnit,
  type GuardOptions,
  type GuardState,
  type OpenUnit,
} from "../../src/postgres/index.ts";
import { installGuard } from "../../src/session/guard.ts";
import { httpGet, http2Request, OUTSIDE_CALLS, receive, type Outside } from "./outside-calls.ts";
import { startOutsideServers } from "./outside-servers.ts";

let outside: Outside;

beforeAll(async () => {
  const servers = await startOutsideServers();
  // Opened before the guard is installed, as libraries that were loaded earlier do.
  const http2Session = http2.connect(servers.http2Url);
  await once(http2Session, "connect");
  outside = Object.assign(servers, { keepAlive: new http.Agent({ keepAlive: true }), http2Session });
  installGuard();
  installGuard();
});
afterAll(async () => {
  outside.keepAlive.destroy();
  outside.http2Session.destroy();
  await undici.getGlobalDispatcher().destroy();
  await outside[Symbol.asyncDispose]();
});
beforeEach(() => outside.reset());

interface TestUnit {
  isOpen: boolean;
  readonly guard: GuardState;
}

async function inUnit<T>(options: GuardOptions, work: (unit: TestUnit) => Promise<T>): Promise<T> {
  const unit = {
    // Never asked: the guard only looks at the flag, the place and the guard state.
    database: {} as OpenUnit["database"],
    openedAt: "loadAgent (/app/agents.ts:12:9)",
    isOpen: true,
    guard: createGuardState(options),
    runStatements: () => Promise.reject(new Error("no database here")),
    runScript: () => Promise.reject(new Error("no database here")),
  };
  return runInUnit(unit, async () => {
    try {
      return await work(unit);
    } finally {
      unit.isOpen = false;
    }
  });
}

/** fetch wraps what went wrong: `TypeError: fetch failed` with our error as its cause. */
function guardErrorOf(error: unknown): unknown {
  return error instanceof TypeError ? error.cause : error;
}

async function refusalOf(work: () => Promise<unknown>): Promise<Error> {
  const error = await work().then(
    (result) => new Error(`went out: ${String(result)}`),
    (reason: unknown) => guardErrorOf(reason),
  );
  expect(error).toBeInstanceOf(ExternalCallInUnitError);
  return error as ExternalCallInUnitError;
}

describe.each(Object.entries(OUTSIDE_CALLS))("%s", (_name, { make, named }) => {
  test("is refused inside a unit, reaches nobody, and the error names the call and the place of the unit only", async () => {
    await make(outside).catch(() => undefined); // warms keep-alive sockets and sessions
    await make(outside);
    outside.reset();
    await inUnit({}, async (unit) => {
      const error = await refusalOf(() => make(outside));
      expect(error.message).toContain(named(outside));
      expect(error.message).toContain("loadAgent (/app/agents.ts:12:9)");
      expect(error.message).not.toContain("secret");
      expect(unit.guard.violation).toBe(error);
    });
    await sleep(20);
    expect(outside.hits).toBe(0);
    await make(outside);
  });

  test("is unaffected after the unit's end, in allowExternal, with the guard off, and in flows beside the unit", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const unitBeside = inUnit({}, () => held);
    await make(outside);
    outside.reset();
    await inUnit({}, (unit) => {
      unit.isOpen = false;
      return make(outside);
    });
    outside.reset();
    await inUnit({}, async (unit) => {
      await allowExternal(() => make(outside));
      expect(unit.guard.violation).toBeUndefined();
    });
    outside.reset();
    await inUnit({ mode: "off" }, () => make(outside));
    release();
    await unitBeside;
  });

  test("is reported and goes out in warn mode", async () => {
    const onViolation = vi.fn<(error: ExternalCallInUnitError) => void>();
    await inUnit({ mode: "warn", onViolation }, async (unit) => {
      await make(outside);
      expect(unit.guard.violation).toBeUndefined();
    });
    const calls = onViolation.mock.calls.map(([error]) => error.message);
    expect(calls[0]).toContain(named(outside));
    // Opening an HTTP/2 session and asking on it are two calls; all others are one.
    expect(calls).toHaveLength(named(outside).startsWith("a connection") && calls.length === 2 ? 2 : 1);
  });
});

describe("allowed hosts", () => {
  const allowed: [string, () => GuardOptions["allowHosts"]][] = [
    ["a host", () => ["127.0.0.1", "localhost"]],
    ["a host with its port", () => [new URL(outside.httpUrl).host, new URL(outside.httpsUrl).host]],
    ["a pattern, also with a g flag", () => [/^(127\.0\.0\.1|localhost):\d+$/g]],
    ["a name in other letters", () => ["127.0.0.1", "LOCALHOST"]],
  ];
  test.each(allowed)("%s may be called by fetch, http and https, again and again", async (_name, allowHosts) => {
    await inUnit({ allowHosts: allowHosts() }, async (unit) => {
      for (let round = 0; round < 3; round++) {
        await fetch(outside.httpUrl).then((response) => response.text());
        await httpGet(outside.httpUrl);
        await httpGet(outside.httpsUrl, { agent: false });
      }
      expect(unit.guard.violation).toBeUndefined();
    });
    expect(outside.hits).toBe(9);
  });

  test("another port, a longer name or a host header do not pass", async () => {
    const allowHosts = ["127.0.0.1:1", "27.0.0.1", "allowed.test"];
    await inUnit({ allowHosts }, async () => {
      await refusalOf(() => fetch(outside.httpUrl));
      await refusalOf(() => httpGet(outside.httpUrl, { headers: { host: "allowed.test" } }));
      await refusalOf(async () => text(outside.http2Session.request({ ":authority": "allowed.test" })));
    });
    expect(outside.hits).toBe(0);
  });

  test("an HTTP/2 session and a Unix socket can be allowed", async () => {
    await inUnit({ allowHosts: [new URL(outside.http2Url).host, outside.unixPath] }, async () => {
      const session = http2.connect(outside.http2Url);
      expect(await http2Request(session)).toBe("ok");
      session.destroy();
      expect(await receive(net.connect({ path: outside.unixPath }))).toBe("ok");
    });
  });

  test("what is no host is an error at once", () => {
    expect(() => createGuardState({ allowHosts: [""] })).toThrow("allowHosts takes host names and patterns");
    expect(() => createGuardState({ mode: "loud" as "warn" })).toThrow('unknown guard mode "loud"');
  });
});

describe("allowExternal", () => {
  test("allows its own branch only, while another branch of the unit runs", async () => {
    await inUnit({}, async () => {
      let release = (): void => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      const allowedBranch = allowExternal(async () => {
        await held;
        return httpGet(outside.httpUrl);
      });
      await refusalOf(() => httpGet(outside.httpUrl));
      release();
      expect(await allowedBranch).toBe("got ");
    });
    expect(outside.hits).toBe(1);
  });

  test("ends with its work: a call left behind in a timer is refused", async () => {
    await inUnit({}, async () => {
      const late = await allowExternal(async () => ({
        call: sleep(20).then(() => httpGet(outside.httpUrl)),
      }));
      await refusalOf(() => late.call);
    });
    expect(outside.hits).toBe(0);
  });

  test("passes results and errors through, synchronous ones too, and starts lazy requests inside", async () => {
    await inUnit({}, async () => {
      expect(allowExternal(() => childProcess.spawnSync(process.execPath, ["-e", ""]).status)).toBe(0);
      expect(() => allowExternal(() => JSON.parse("{") as unknown)).toThrow(SyntaxError);
      await expect(allowExternal(() => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
      const lazy = {
        // oxlint-disable-next-line unicorn/no-thenable -- query and request builders are such objects
        then: (resolve: (body: string) => void, reject: (reason: unknown) => void) => {
          httpGet(outside.httpUrl).then(resolve, reject);
        },
      };
      expect(await allowExternal(() => lazy as unknown as Promise<string>)).toBe("got ");
      await refusalOf(() => httpGet(outside.httpUrl));
    });
  });

  test("outside a unit it only calls, and gives nothing to a unit opened within", async () => {
    await allowExternal(() => inUnit({}, () => refusalOf(() => httpGet(outside.httpUrl))));
    expect(allowExternal(() => 7)).toBe(7);
  });
});

test("a swallowed refusal stays recorded, and the first one counts", async () => {
  await inUnit({}, async (unit) => {
    await fetch(outside.httpUrl).catch(() => undefined);
    const first = unit.guard.violation;
    expect(first?.message).toContain("GET http://127.0.0.1");
    await httpGet(outside.httpUrl).catch(() => undefined);
    expect(unit.guard.violation).toBe(first);
  });
});

test("requests of other flows that share the agent and its connections are answered while a unit is refused", async () => {
  const single = new undici.Client(outside.httpUrl);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const refused = inUnit({}, async () => {
      await refusalOf(() => single.request({ path: "/", method: "GET" }));
      await refusalOf(() => httpGet(outside.httpUrl, { agent }));
    });
    const answers = await Promise.all([
      single.request({ path: "/", method: "GET" }).then(({ body }) => body.text()),
      httpGet(outside.httpUrl, { agent }),
      httpGet(outside.httpUrl, { agent }),
    ]);
    await refused;
    expect(answers).toEqual(["got ", "got ", "got "]);
    expect(outside.hits).toBe(3);
  } finally {
    await single.destroy();
    agent.destroy();
  }
});

test("a connection opened for a waiting request of another flow is not held against the unit that frees the place", async () => {
  const agent = new http.Agent({ keepAlive: false, maxSockets: 1 });
  const { host } = new URL(outside.httpUrl);
  const answers: Promise<string>[] = [];
  await inUnit({ allowHosts: [host] }, async () => {
    answers.push(httpGet(outside.httpUrl, { agent }));
  });
  answers.push(httpGet(outside.httpUrl, { agent }));
  expect(await Promise.all(answers)).toEqual(["got ", "got "]);
  agent.destroy();
});

test("the driver's own connections pass, and units opened in the events of such a connection are guarded", async () => {
  await inUnit({}, async (unit) => {
    expect(await driverIO(() => receive(net.connect(outside.tcpPort, "127.0.0.1")))).toBe("ok");
    expect(unit.guard.violation).toBeUndefined();
  });
  const inEvent = await new Promise<Error>((resolve, reject) => {
    const socket = driverIO(() => net.connect(outside.tcpPort, "127.0.0.1"));
    socket.once("data", () => {
      inUnit({}, () => refusalOf(() => httpGet(outside.httpUrl))).then(resolve, reject);
    });
  });
  expect(inEvent).toBeInstanceOf(ExternalCallInUnitError);
});

test("without a listener a violation in warn mode becomes a process warning", async () => {
  const warned = once(process, "warning") as Promise<[Error & { code?: string }]>;
  await inUnit({ mode: "warn" }, () => httpGet(outside.httpUrl));
  const [warning] = await warned;
  expect(warning.name).toBe("ExternalCallInUnitError");
  expect(warning.code).toBe("EXTERNAL_CALL_IN_UNIT");
});

test("a listener that throws does not break the call it was told about", async () => {
  const warned = once(process, "warning") as Promise<[Error]>;
  const onViolation = (): never => {
    throw new Error("listener failed");
  };
  const body = await inUnit({ mode: "warn", onViolation }, async () => (await fetch(outside.httpUrl)).text());
  expect(body).toBe("got ");
  expect((await warned)[0].message).toBe("listener failed");
});

test("addresses are not looked up, so giving one to dns.lookup is no call", async () => {
  await inUnit({}, async (unit) => {
    expect(await dns.promises.lookup("127.0.0.1")).toMatchObject({ address: "127.0.0.1" });
    expect(unit.guard.violation).toBeUndefined();
  });
});

test("node's own forms of the wrapped functions stay: promisified exec gives stdout and stderr", async () => {
  expect(await promisify(childProcess.exec)("echo out")).toEqual({ stdout: "out\n", stderr: "" });
  expect(await promisify(dns.lookup)("127.0.0.1")).toEqual({ address: "127.0.0.1", family: 4 });
  expect(http.Agent.prototype).toHaveProperty("addRequest.name", "addRequest");
});
