// The guard's hooks for fetch and undici, node:http and node:https, node:http2.
import { subscribe } from "node:diagnostics_channel";
import type * as http from "node:http";
import type * as http2 from "node:http2";
import { Duplex } from "node:stream";
import { refuseExternalCall, type ExternalCallInUnitError } from "../postgres/index.ts";
import { passNextConnect, passConnects } from "./guard-sockets.ts";
import { field, isMethod, portField, textField, wrapMethod } from "./wrap-method.ts";

/**
 * Global fetch and npm undici 6 to 8. An exception of a subscriber does not stop the request and becomes an
 * uncaughtException; `request.error` does stop it, before a byte is written.
 */
export function watchUndici(): void {
  subscribe("undici:request:create", (message) => {
    const request = field(message, "request");
    const origin = originOf(field(request, "origin"));
    const error = refuseExternalCall({
      what: `${textField(request, "method") ?? "request"} ${origin?.origin ?? "unknown origin"}`,
      host: origin?.hostname,
      port: origin === undefined ? undefined : portOf(origin),
    });
    if (error !== undefined && typeof request === "object" && request !== null) Reflect.set(request, "error", error);
  });
  // The request was judged when it was made. Its connection may be shared with requests of other flows, and may be opened
  // in any of them, so it is not judged again: refusing it would fail those too.
  subscribe("undici:client:beforeConnect", passNextConnect);
}

/** Everything that goes through an agent, on all versions; node 22 and later also tell about requests without one. */
export function watchHttp(module: typeof http): void {
  const agentPrototype = module.Agent.prototype;
  // Called in the caller's flow, before a warm keep-alive socket is written to: `http.client.request.start` is too late.
  wrapMethod(agentPrototype, "addRequest", (original) => {
    return function addRequest(request, options, ...rest) {
      const error = refuseHttpRequest(request, options);
      if (error === undefined) return original.call(this, request, options, ...rest);
      refuse(request, error);
      return undefined;
    };
  });
  // Connections for waiting requests are opened in the flow of whoever freed the place, and their requests were judged.
  wrapMethod(agentPrototype, "createSocket", (original) => {
    return function createSocket(...args) {
      return passConnects(() => original.apply(this, args));
    };
  });
  const watchedAddRequest: unknown = Reflect.get(agentPrototype, "addRequest");
  subscribe("http.client.request.created", (message) => {
    const request = field(message, "request");
    const agent = field(request, "agent");
    if (field(agent, "addRequest") === watchedAddRequest) return;
    const error = refuseHttpRequest(request, undefined);
    const destroy = field(request, "destroy");
    if (error !== undefined && isMethod(destroy)) destroy.call(request, error);
  });
}

function refuseHttpRequest(request: unknown, options: unknown): ExternalCallInUnitError | undefined {
  const socketPath = textField(options, "socketPath");
  const protocol = textField(request, "protocol") ?? textField(options, "protocol") ?? "http:";
  const host = textField(options, "host") ?? textField(request, "host") ?? "localhost";
  const port = portField(options, "port") ?? portOfHostHeader(request) ?? (protocol === "https:" ? 443 : 80);
  const isDefaultPort = String(port) === (protocol === "https:" ? "443" : "80");
  const authority = `${host.includes(":") ? `[${host}]` : host}${isDefaultPort ? "" : `:${port}`}`;
  return refuseExternalCall({
    what: `${textField(request, "method") ?? "request"} ${socketPath === undefined ? `${protocol}//${authority}` : `over Unix socket ${socketPath}`}`,
    host: socketPath ?? host,
    port: socketPath === undefined ? port : undefined,
  });
}

function portOfHostHeader(request: unknown): string | undefined {
  const getHeader = field(request, "getHeader");
  const header = isMethod(getHeader) ? getHeader.call(request, "host") : undefined;
  return typeof header === "string" ? /:(\d+)$/.exec(header)?.[1] : undefined;
}

// A request without a socket reports its error only when it is handed one, or none (`onSocket`, which agents call).
function refuse(request: unknown, error: ExternalCallInUnitError): void {
  const destroy = field(request, "destroy");
  const onSocket = field(request, "onSocket");
  if (!isMethod(destroy) || !isMethod(onSocket)) throw error;
  destroy.call(request, error);
  onSocket.call(request, undefined, error);
}

/** Streams of open and new sessions. Destroying a stream is too late (its headers are queued already), so `request` throws. */
export function watchHttp2(module: typeof http2): void {
  // The class is not exported. A session on a stream that goes nowhere has its prototype, so that sessions opened before
  // now are watched too.
  const session = module.connect("http://localhost", { createConnection: () => unconnected() });
  session.on("error", () => undefined);
  const prototype: unknown = Object.getPrototypeOf(session);
  session.destroy();
  if (typeof prototype !== "object" || prototype === null) return;

  const authorities = new WeakMap<object, URL>();
  wrapMethod(module, "connect", (original) => {
    return function connect(authority, ...rest) {
      const opened = original.call(this, authority, ...rest);
      const url = originOf(authority);
      if (url !== undefined && typeof opened === "object" && opened !== null) authorities.set(opened, url);
      return opened;
    };
  });
  wrapMethod(prototype, "request", (original) => {
    return function request(headers, ...rest) {
      // Where the session goes, not what a header claims: a header must not pass the allow-list.
      const origin = (typeof this === "object" && this !== null ? authorities.get(this) : undefined) ?? peerOf(this);
      const error = refuseExternalCall({
        what: `${textField(headers, ":method") ?? "GET"} ${origin?.origin ?? "unknown origin"} (HTTP/2)`,
        host: origin?.hostname,
        port: origin === undefined ? undefined : portOf(origin),
      });
      if (error !== undefined) throw error;
      return original.call(this, headers, ...rest);
    };
  });
}

/** The address a session is connected to, for sessions opened before we watched. */
function peerOf(session: unknown): URL | undefined {
  if (field(session, "destroyed") === true) return undefined;
  const socket = field(session, "socket");
  const address = textField(socket, "remoteAddress") ?? "";
  const scheme = field(session, "encrypted") === true ? "https" : "http";
  return originOf(
    `${scheme}://${address.includes(":") ? `[${address}]` : address}:${portField(socket, "remotePort") ?? ""}`,
  );
}

function unconnected(): Duplex {
  return new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
}

function originOf(origin: unknown): URL | undefined {
  if (origin instanceof URL) return origin;
  return typeof origin === "string" && URL.canParse(origin) ? new URL(origin) : undefined;
}

function portOf(origin: URL): string {
  return origin.port === "" ? (origin.protocol === "https:" ? "443" : "80") : origin.port;
}
