// Decides whether a call to the outside world may go out now: not while a unit of work is open in the same flow. It looks
// and records; whoever makes or watches the call (session/guard.ts, our own clients of the outside) stops it.
import { AsyncLocalStorage } from "node:async_hooks";
import { ExternalCallInUnitError, InvalidInputError } from "./errors.ts";
import { currentUnit } from "./open-unit.ts";

/** `throw`: the call is refused and the unit fails. `warn`: it goes out and is reported. `off`: nobody looks. */
export type GuardMode = "throw" | "warn" | "off";

export interface GuardOptions {
  /** Default `"throw"`. */
  readonly mode?: GuardMode | undefined;
  /**
   * Hosts that may be called while the unit is open, e.g. the collector of your traces. Texts are `"host"`, `"host:port"` or
   * the path of a Unix socket, compared whole and without case; patterns are tried on `host` and on `host:port`.
   */
  readonly allowHosts?: readonly (string | RegExp)[] | undefined;
  /** Receives each call in `warn` mode, once. Default: `process.emitWarning`. */
  readonly onViolation?: ((error: ExternalCallInUnitError) => void) | undefined;
}

/** The guard of one unit of work; units nested in it share it. */
export interface GuardState {
  readonly mode: GuardMode;
  readonly allowHosts: readonly (string | RegExp)[];
  readonly onViolation: (error: ExternalCallInUnitError) => void;
  /** The first call that was refused. It fails the unit even when the caller swallowed the error. Stays empty in `warn` mode. */
  violation: ExternalCallInUnitError | undefined;
}

/** A call about to be made. Never put a path, a query or a header in: messages are logged, and those carry secrets. */
export interface ExternalCall {
  /** e.g. `"GET https://api.example.com"`, `"child process git"` */
  readonly what: string;
  readonly host?: string | undefined;
  readonly port?: number | string | undefined;
}

const GUARD_MODES: readonly unknown[] = ["throw", "warn", "off"] satisfies GuardMode[];

/**
 * Makes the guard of one unit of work.
 * @throws InvalidInputError for an unknown mode or an allowed host that is neither text nor pattern
 */
export function createGuardState(options: GuardOptions = {}): GuardState {
  const mode = options.mode ?? "throw";
  if (!GUARD_MODES.includes(mode)) {
    throw new InvalidInputError(`unknown guard mode ${JSON.stringify(mode)}`, { hint: 'use "throw", "warn" or "off"' });
  }
  return {
    mode,
    allowHosts: (options.allowHosts ?? []).map(prepareHost),
    onViolation: options.onViolation ?? warnProcess,
    violation: undefined,
  };
}

/** The guarded flow in which `allowExternal` was called; flows that run beside it are not allowed anything. */
interface Allowance {
  readonly guard: GuardState;
  isActive: boolean;
}
const allowances = new AsyncLocalStorage<Allowance>();

/**
 * Lets the calls made by `work`, and by nothing else, go out although a unit of work is open. The permission ends when
 * `work` ends; timers it left behind have none. The database connection stays taken meanwhile: prefer calling outside.
 *
 * @returns what `work` returns; what it throws is thrown. Outside of a unit it is only called
 */
export function allowExternal<T>(work: () => T): T {
  const guard = currentUnit()?.guard;
  if (guard === undefined) return work();
  const allowance: Allowance = { guard, isActive: true };
  const end = (): void => {
    allowance.isActive = false;
  };
  let result: T;
  try {
    result = allowances.run(allowance, work);
  } catch (error) {
    end();
    throw error;
  }
  if (!isThenable(result)) {
    end();
    return result;
  }
  // `then` is called inside the flow, because query builders and request builders start only there.
  const started = result;
  const settled = new Promise<unknown>((resolve, reject) => {
    allowances.run(allowance, () => void started.then(resolve, reject));
  });
  return settled.finally(end) as T;
}

/**
 * Tells whether a call must not be made now. In `warn` mode it reports the call and lets it pass.
 * @returns the error to refuse the call with, which is also kept as the unit's `violation`; `undefined` when the call may go out
 */
export function refuseExternalCall(call: ExternalCall): ExternalCallInUnitError | undefined {
  const unit = currentUnit();
  const guard = unit?.guard;
  if (unit === undefined || guard === undefined || guard.mode === "off") return undefined;
  const allowance = allowances.getStore();
  if (allowance?.isActive === true && allowance.guard === guard) return undefined;
  if (call.host !== undefined && isAllowedHost(guard.allowHosts, call.host, call.port)) return undefined;
  const error = new ExternalCallInUnitError(
    `${call.what} was called while a unit of work is open (opened at ${unit.openedAt})`,
    {
      hint: "end the unit first, call, and store the result in a second unit; allowExternal() or allowHosts lets a call pass",
    },
  );
  if (guard.mode === "warn") {
    report(guard, error);
    return undefined;
  }
  guard.violation ??= error;
  return error;
}

// Hooks run inside other people's libraries, where an exception of a reporting function would end the process.
function report(guard: GuardState, error: ExternalCallInUnitError): void {
  try {
    guard.onViolation(error);
  } catch (failure) {
    process.emitWarning(failure instanceof Error ? failure : new Error("onViolation failed", { cause: failure }));
  }
}

function warnProcess(error: ExternalCallInUnitError): void {
  process.emitWarning(error.message, { type: error.name, code: error.code });
}

// A pattern with the g or y flag remembers where it stopped, and would answer differently every other time.
function prepareHost(host: string | RegExp): string | RegExp {
  if (host instanceof RegExp) return new RegExp(host.source, host.flags.replaceAll(/[gy]/g, ""));
  if (typeof host !== "string" || host === "") {
    throw new InvalidInputError("allowHosts takes host names and patterns", {
      hint: 'e.g. ["otel.internal:4318", /\\.example\\.com$/]',
    });
  }
  return comparable(host);
}

function isAllowedHost(
  allowed: readonly (string | RegExp)[],
  host: string,
  port: number | string | undefined,
): boolean {
  const name = comparable(host);
  const withPort = port === undefined ? undefined : `${name.includes(":") ? `[${name}]` : name}:${port}`;
  return allowed.some((entry) => {
    if (typeof entry !== "string") return entry.test(name) || (withPort !== undefined && entry.test(withPort));
    return entry === name || entry === withPort;
  });
}

/** Lower case, and `[::1]` without its brackets unless a port follows. */
function comparable(host: string): string {
  const bare = /^\[([^\]]*)\]$/.exec(host)?.[1] ?? host;
  return bare.toLowerCase();
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
