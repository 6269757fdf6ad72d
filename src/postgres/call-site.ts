// Where our caller stands: the first stack frame outside this package and outside node itself. Taken for every unit of
// work, read only when somebody has to be told: capturing a stack is cheap, making its text cost 13 % of a unit's CPU.
import { fileURLToPath } from "node:url";

const packageRoot = fileURLToPath(new URL("..", import.meta.url));
const FRAMES = 12;

export class CallSite {
  readonly #error: Error;
  #text: string | undefined;

  constructor(error: Error) {
    this.#error = error;
  }

  /** e.g. `loadAgent (/app/agents.ts:12:9)`; `"unknown"` when the stack holds only our own frames. */
  toString(): string {
    this.#text ??= firstForeignFrame(this.#error.stack ?? "");
    return this.#text;
  }
}

/** Takes the stack of the caller. */
export function callSite(): CallSite {
  const previousLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const error = new Error("call site");
  Error.stackTraceLimit = previousLimit;
  return new CallSite(error);
}

function firstForeignFrame(stack: string): string {
  for (const line of stack.split("\n").slice(2)) {
    const frame = line
      .trim()
      .replace(/^at (async )?/, "")
      .replace("file://", "");
    const isOurs = frame.includes(packageRoot) && !frame.includes(".test.ts");
    if (frame !== "" && !isOurs && !frame.includes("node:") && !frame.includes("node_modules")) return frame;
  }
  return "unknown";
}
