// Structured logs: one JSON object a line on stderr, readable text in a terminal, no secret in either.
import { pino, stdTimeFunctions, type DestinationStream, type Logger } from "pino";
import pretty from "pino-pretty";
import { redactData, redactText } from "./redact.ts";

export type { Logger } from "pino";
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  /** Lines below it are not written. Default `info`. */
  readonly level?: LogLevel | undefined;
  /** Text for people instead of JSON. Default: whether stderr is a terminal. */
  readonly pretty?: boolean | undefined;
  /** Colours in pretty text. Default: true. */
  readonly colors?: boolean | undefined;
  /** Where lines go. Default: stderr, because stdout belongs to results. */
  readonly destination?: { write(line: string): unknown } | undefined;
}

/** What a line can be about. Undefined ids are left out. */
export interface LogIds {
  readonly requestId?: string | undefined;
  readonly tenantId?: string | undefined;
  readonly agentId?: string | undefined;
  readonly sessionId?: string | undefined;
}

/**
 * Makes a logger. Times are ISO 8601 in UTC, levels are words, errors go under `err` with type, message, stack and cause.
 * Secrets are taken out of every finished line, wherever they came from: fields at any depth, child ids, messages, stacks.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const output = options.destination ?? process.stderr;
  const isPretty = options.pretty ?? (options.destination === undefined && process.stderr.isTTY);
  const printer = isPretty
    ? pretty.prettyFactory({ colorize: options.colors ?? true, ignore: "pid,hostname", translateTime: "HH:MM:ss" })
    : undefined;
  const stream: DestinationStream = {
    // On the finished line, not on its parts: nothing that pino adds later (bindings, serializers, formats) can get past it.
    write(line: string): void {
      const safe = redactLine(line);
      output.write(printer === undefined ? safe : printer(safe));
    },
  };
  return pino(
    {
      level: options.level ?? "info",
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
}

/** A logger whose every line carries the given ids. */
export function withLogIds(logger: Logger, ids: LogIds): Logger {
  return logger.child(Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== undefined)));
}

function redactLine(line: string): string {
  try {
    return `${JSON.stringify(redactData(JSON.parse(line)))}\n`;
  } catch {
    return redactText(line); // no JSON, e.g. text another library wrote to our stream: still without its secrets
  }
}
