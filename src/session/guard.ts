// Watches every way out of the process that node offers, and refuses calls while a unit of work is open in the same flow.
// The decision is made in postgres/external-call.ts; what cannot be seen is listed in docs/guard.md.
import { createRequire, syncBuiltinESMExports } from "node:module";
import { watchHttp, watchHttp2, watchUndici } from "./guard-http.ts";
import { watchProcesses } from "./guard-processes.ts";
import { watchDatagrams, watchNames, watchSockets } from "./guard-sockets.ts";

let isInstalled = false;

/**
 * Installs the hooks, once per process; later calls do nothing. They stay: taking a wrapper out again would break whoever
 * wrapped the same function after us. Without an open unit each hook costs one look into the async context.
 */
export function installGuard(): void {
  if (isInstalled) return;
  isInstalled = true;
  const builtin = createRequire(import.meta.url);
  watchUndici();
  watchHttp(builtin("node:http"));
  watchHttp2(builtin("node:http2"));
  watchSockets(builtin("node:net"));
  watchNames(builtin("node:dns"));
  watchDatagrams(builtin("node:dgram"));
  watchProcesses(builtin("node:child_process"));
  syncBuiltinESMExports();
}
