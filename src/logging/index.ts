// Structured logs without secrets.
export {
  createLogger,
  LOG_LEVELS,
  withLogIds,
  type Logger,
  type LoggerOptions,
  type LogIds,
  type LogLevel,
} from "./logger.ts";
export { REDACTED, redactData, redactText } from "./redact.ts";
