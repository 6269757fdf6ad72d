// Where our caller stands: the first stack frame outside this package and outside node itself.
import { fileURLToPath } from "node:url";

const packageRoots = [fileURLToPath(new URL("..", import.meta.url))];

/** e.g. `loadAgent (/app/agents.ts:12:9)`; `"unknown"` when the stack holds only our own frames. */
export function callerFrame(): string {
  const previousLimit = Error.stackTraceLimit;
  Error.stackTraceLimit = 20;
  const stack = new Error("stack").stack ?? "";
  Error.stackTraceLimit = previousLimit;
  for (const line of stack.split("\n").slice(2)) {
    const frame = line
      .trim()
      .replace(/^at (async )?/, "")
      .replace("file://", "");
    const isOurs = packageRoots.some((root) => frame.includes(root)) && !frame.includes(".test.ts");
    if (frame !== "" && !isOurs && !frame.includes("node:") && !frame.includes("node_modules")) return frame;
  }
  return "unknown";
}
