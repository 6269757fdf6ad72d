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

/** Texts of functions whose place is kept; a program that makes up functions as it goes gains nothing from more. */
const KEPT_PLACES = 2_000;
/** The text of a longer one costs as much to look up as a stack. */
const LONGEST_TEXT = 4_000;
const places = new Map<string, CallSite>();

/**
 * The place of a call that is handed `work`, written where it is called: an arrow function without a name. Its text stands for
 * the place, so that the stack is taken once and not for each call (6 % of the CPU of a unit that reads one row); of two calls
 * with the same text it is the first one's. A function with a name may be handed over anywhere: its stack is taken.
 */
export function callSiteOf(work: (...args: never[]) => unknown): CallSite {
  if (work.name !== "") return callSite();
  const text = Function.prototype.toString.call(work);
  const known = places.get(text);
  if (known !== undefined) return known;
  const place = callSite();
  if (text.length <= LONGEST_TEXT && places.size < KEPT_PLACES) {
    place.toString(); // until its text is made, a stack holds on to all that its frames refer to
    places.set(text, place);
  }
  return place;
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
