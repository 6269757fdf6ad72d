// The HTTP server of `start`: GET /health for machines, GET / for people. Nothing else answers.
import { createHash, randomUUID } from "node:crypto";
import { fastify, type FastifyReply } from "fastify";
import { withLogIds, type Logger } from "../logging/index.ts";
import { AddressInUseError, ERROR_CODES, InvalidInputError, StewardError, type Database } from "../postgres/index.ts";
import { PAGE_STYLE, renderPage, type FirstPage } from "./page.ts";

export interface ServerOptions {
  readonly database: Database;
  readonly logger: Logger;
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** When the port is taken: `"next"` tries the following ones, up to 20. */
  readonly whenTaken: "fail" | "next";
  /** Read anew for each request of `/`. */
  readonly readFirstPage: () => Promise<FirstPage>;
}

export interface RunningServer {
  /** e.g. `http://127.0.0.1:7420`. */
  readonly url: string;
  readonly port: number;
  /** Stops accepting, lets running requests end for at most `graceMs` (default 3_000), then cuts them. */
  stop(graceMs?: number): Promise<void>;
}

const STYLE_HASH = createHash("sha256").update(PAGE_STYLE).digest("base64");
const SECURITY_HEADERS = {
  "content-security-policy": `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
} as const;

/**
 * Starts the server.
 *
 * @throws AddressInUseError when the port is taken and `whenTaken` is `"fail"`
 * @throws InvalidInputError when the host cannot be listened on
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const app = fastify({ logger: false, bodyLimit: 1_048_576, requestTimeout: 30_000, genReqId: () => randomUUID() });

  app.addHook("onRequest", async (request, reply) => {
    reply.headers({ ...SECURITY_HEADERS, "x-request-id": request.id });
    // A page of another site must not reach a server on loopback through a name that it resolves to 127.0.0.1.
    if (isLoopback(options.host) && !isLoopback(hostName(request.headers.host))) {
      await sendError(
        reply,
        request.id,
        403,
        "INSUFFICIENT_PRIVILEGE",
        "this server answers to its loopback address only",
      );
    }
  });
  app.addHook("onResponse", async (request, reply) => {
    withLogIds(options.logger, { requestId: request.id }).debug(
      { method: request.method, url: request.url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      "answered",
    );
  });

  app.get("/health", async (_request, reply) => {
    const health = await options.database.health();
    return reply.code(health.ok ? 200 : 503).send({
      ok: health.ok,
      latencyMs: health.latencyMs === undefined ? undefined : Math.round(health.latencyMs * 100) / 100,
      server: health.server && {
        version: health.server.version.text,
        kind: health.server.kind,
        role: health.server.role,
      },
      pool: { total: health.pool.total, idle: health.pool.idle, waiting: health.pool.waiting, size: health.pool.size },
      error: health.error && { code: health.error.code, hint: health.error.hint },
    });
  });
  app.get("/", async (_request, reply) =>
    reply.type("text/html; charset=utf-8").send(renderPage(await options.readFirstPage())),
  );

  const routes = new Set(["/", "/health"]);
  app.setNotFoundHandler(async (request, reply) => {
    const path = request.url.split("?", 1)[0] ?? "";
    if (routes.has(path)) {
      reply.header("allow", "GET, HEAD");
      return sendError(reply, request.id, 405, "INVALID_INPUT", `${path} answers GET only`);
    }
    return sendError(reply, request.id, 404, "INVALID_INPUT", "there is nothing here; try / or /health");
  });
  app.setErrorHandler(async (error: Error & { statusCode?: number }, request, reply) => {
    withLogIds(options.logger, { requestId: request.id }).error({ err: error }, "request failed");
    if (error instanceof StewardError)
      return sendError(reply, request.id, ERROR_CODES[error.code].httpStatus, error.code, error.message);
    const status = error.statusCode !== undefined && error.statusCode < 500 ? error.statusCode : 500;
    // An unknown error's text may hold anything: the client gets the request's id, the log has the rest.
    return sendError(
      reply,
      request.id,
      status,
      status < 500 ? "INVALID_INPUT" : "INTERNAL",
      status < 500 ? "the request cannot be read" : "the server failed",
    );
  });

  const lastPort =
    options.whenTaken === "next" && options.port !== 0 ? Math.min(options.port + 20, 65_535) : options.port;
  for (let port = options.port; ; port++) {
    try {
      await app.listen({ host: options.host, port });
      break;
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === "EADDRINUSE" && port < lastPort) continue;
      await app.close();
      throw listenError(cause, code, options.host, port);
    }
  }
  const address = app.server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    url: `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    port,
    async stop(graceMs = 3_000): Promise<void> {
      // close() alone waits for keep-alive connections, which a browser holds for more than a minute.
      const deadline = setTimeout(() => app.server.closeAllConnections(), graceMs);
      app.server.closeIdleConnections();
      await app.close();
      clearTimeout(deadline);
    },
  };
}

function listenError(cause: unknown, code: string | undefined, host: string, port: number): Error {
  if (code === "EADDRINUSE") {
    return new AddressInUseError(`port ${port} of ${host} is in use`, {
      cause,
      hint: "choose another one with --port, or --port 0 for any free one",
    });
  }
  if (code === "EACCES" || code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new InvalidInputError(`cannot listen on ${host} port ${port} (${code})`, {
      cause,
      hint:
        code === "EACCES"
          ? "ports below 1024 need special rights: choose a higher one with --port"
          : "choose an address of this machine with --host, e.g. 127.0.0.1",
    });
  }
  return cause instanceof Error ? cause : new Error(String(cause));
}

function hostName(header: string | undefined): string {
  const [, bracketed] = /^\[(.*)\](?::\d+)?$/.exec(header ?? "") ?? [];
  return bracketed ?? (header ?? "").replace(/:\d+$/, "");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function sendError(reply: FastifyReply, requestId: string, status: number, code: string, detail: string): FastifyReply {
  return reply
    .code(status)
    .header("x-error-code", code)
    .send({ code, detail, timestamp: new Date().toISOString(), requestId });
}
