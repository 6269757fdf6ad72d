// The guard's hooks below HTTP: new TCP, TLS and Unix sockets, name lookups, datagrams. Sockets that are open already are
// not watched. A refused connection fails as any other does, by its 'error' event: libraries are ready for that one.
import type * as dgram from "node:dgram";
import type * as dns from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import type * as net from "node:net";
import { refuseExternalCall, type ExternalCallInUnitError } from "../postgres/index.ts";
import { field, isMethod, portField, textField, wrapMethod, type Method } from "./wrap-method.ts";

// Both are only ever true during one synchronous stretch of work, so flows cannot see each other's.
let passDepth = 0;
let isNextConnectPassed = false;

/** Runs `work`; the sockets it opens before it returns are not judged again. */
export function passConnects<T>(work: () => T): T {
  passDepth++;
  try {
    return work();
  } finally {
    passDepth--;
  }
}

/** The next socket opened in this same stretch of synchronous work is not judged again. */
export function passNextConnect(): void {
  isNextConnectPassed = true;
  queueMicrotask(() => {
    isNextConnectPassed = false;
  });
}

export function watchSockets(module: typeof net): void {
  wrapMethod(module.Socket.prototype, "connect", (original) => {
    return function connect(...args) {
      const isPassed = passDepth > 0 || isNextConnectPassed;
      isNextConnectPassed = false;
      const error = isPassed ? undefined : refuseConnect(args);
      if (error === undefined) return passConnects(() => original.apply(this, args));
      // A lookup that fails with our error: the socket gets its handle and its state from node, and fails the way it
      // does for an unknown host, after the caller had time to listen. Nothing goes out.
      return original.call(this, { host: "refused.invalid", port: 1, lookup: failingLookup(error) });
    };
  });
}

function failingLookup(error: Error): LookupFunction {
  return (_hostname, _options, callback) => {
    process.nextTick(callback, error, "");
  };
}

/** `connect(port, host)`, `connect(path)`, `connect(options)`, or node's own `connect([options, listener])`. */
function refuseConnect(args: readonly unknown[]): ExternalCallInUnitError | undefined {
  const first = Array.isArray(args[0]) ? (args[0][0] as unknown) : args[0];
  const isPath = typeof first === "string" && !/^\d+$/.test(first);
  const path = isPath ? first : textField(first, "path");
  if (path !== undefined) return refuseExternalCall({ what: `a connection to Unix socket ${path}`, host: path });
  const isOptions = typeof first === "object" && first !== null;
  const port = isOptions ? portField(first, "port") : Number(first);
  const host =
    (isOptions ? textField(first, "host") : typeof args[1] === "string" ? args[1] : undefined) ?? "localhost";
  return refuseExternalCall({
    what: `a connection to ${host.includes(":") ? `[${host}]` : host}:${port ?? ""}`,
    host,
    port,
  });
}

/** `lookup`, `resolve…` and `reverse` of node:dns, of its promises, and of both Resolver classes. */
export function watchNames(module: typeof dns): void {
  watchLookups(module, failCallback);
  watchLookups(module.Resolver.prototype, failCallback);
  watchLookups(module.promises, failPromise);
  watchLookups(module.promises.Resolver.prototype, failPromise);
}

type FailLookup = (error: ExternalCallInUnitError, args: readonly unknown[]) => unknown;

function watchLookups(owner: object, fail: FailLookup): void {
  for (const name of Object.getOwnPropertyNames(owner)) {
    if (!/^(?:lookup|resolve|reverse)/.test(name)) continue;
    const asksAboutAddresses = name === "reverse" || name === "lookupService";
    wrapMethod(owner, name, (original) => watchedLookup(original, asksAboutAddresses, fail));
  }
}

/** An address that is "looked up" is only parsed, so nothing goes out. */
function watchedLookup(original: Method, asksAboutAddresses: boolean, fail: FailLookup): Method {
  return function lookup(...args) {
    const host = typeof args[0] === "string" ? args[0] : "";
    const isSilent = !asksAboutAddresses && (host === "" || isIP(host) !== 0);
    const error =
      passDepth > 0 || isSilent ? undefined : refuseExternalCall({ what: `a name lookup of ${host}`, host });
    return error === undefined ? passConnects(() => original.apply(this, args)) : fail(error, args);
  };
}

const failCallback: FailLookup = (error, args) => {
  const callback = args.at(-1);
  if (!isMethod(callback)) throw error;
  process.nextTick(callback, error);
  return {};
};

const failPromise: FailLookup = (error) => Promise.reject(error);

export function watchDatagrams(module: typeof dgram): void {
  wrapMethod(module.Socket.prototype, "send", (original) => {
    return function send(...args) {
      const error = passDepth > 0 ? undefined : refuseDatagram(this, args);
      if (error === undefined) return passConnects(() => withOwnSend(this, original, () => original.apply(this, args)));
      const callback = args.at(-1);
      if (!isMethod(callback)) throw error;
      process.nextTick(callback, error);
      return undefined;
    };
  });
}

// A socket that is not bound yet keeps `this.send` for later. It shall keep the original: the datagram is judged already.
function withOwnSend<T>(socket: unknown, send: Method, work: () => T): T {
  if (typeof socket !== "object" || socket === null || Object.hasOwn(socket, "send")) return work();
  Object.defineProperty(socket, "send", { value: send, configurable: true, writable: true });
  try {
    return work();
  } finally {
    Reflect.deleteProperty(socket, "send");
  }
}

/** `send(data, [offset, length,] [port,] [address,] [callback])` */
function refuseDatagram(socket: unknown, args: readonly unknown[]): ExternalCallInUnitError | undefined {
  const values = args.filter((argument) => !isMethod(argument)).slice(1);
  const hasRange = values.length >= 2 && values.slice(0, 2).every((value) => typeof value === "number");
  const [port, address] = hasRange ? values.slice(2) : values;
  const remote = port === undefined ? remoteAddress(socket) : { port, address };
  const host = textField(remote, "address") ?? "localhost";
  const toPort = portField(remote, "port");
  return refuseExternalCall({
    what: `a datagram to ${host.includes(":") ? `[${host}]` : host}:${toPort ?? ""}`,
    host,
    port: toPort,
  });
}

function remoteAddress(socket: unknown): unknown {
  const ask = field(socket, "remoteAddress");
  try {
    return isMethod(ask) ? ask.call(socket) : undefined;
  } catch {
    return undefined; // not connected: `send` itself reports that
  }
}
