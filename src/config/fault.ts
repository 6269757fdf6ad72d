// One thing that is wrong in the settings. Faults are data: whoever reads settings shows all of them at once.
import { z } from "zod";
import { nearestWord } from "./nearest.ts";

export interface Fault {
  /** Where it stands: a file's name, or `environment`. */
  readonly source: string;
  /** The setting or variable, e.g. `server.port`; empty when it is about the whole file. */
  readonly key: string;
  /** What is wrong and what is allowed. */
  readonly message: string;
}

/** One readable line, e.g. `pgsteward.config.ts: server.port: expected a whole number from 0 to 65535, not "x"`. */
export function describeFault(fault: Fault): string {
  return [fault.source, fault.key, fault.message].filter((part) => part !== "").join(": ");
}

/** zod's issues as faults, with what is allowed, and the nearest known key for an unknown one. */
export function faultsOf(source: string, error: z.ZodError, shape?: z.ZodType): Fault[] {
  return error.issues.flatMap((issue): Fault[] => {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys") {
      const known = knownKeys(shape, path);
      return issue.keys.map((key) => {
        const nearest = nearestWord(key, known);
        const help = nearest === undefined ? `known here: ${known.join(", ")}` : `did you mean ${nearest}?`;
        return { source, key: [...path, key].join("."), message: `unknown setting; ${help}` };
      });
    }
    return [{ source, key: path.join("."), message: allowed(issue) }];
  });
}

function allowed(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return `expected one of ${issue.values.map(String).join(", ")}`;
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input"))
    return issue.message.replace("Invalid input: ", "");
  return issue.message.startsWith("expected") ? issue.message : `expected ${issue.message}`;
}

function knownKeys(shape: z.ZodType | undefined, path: readonly string[]): string[] {
  let current: z.ZodType | undefined = shape;
  for (const key of path) {
    const object = unwrap(current);
    const inner: unknown = object?.shape[key];
    current = inner instanceof z.ZodType ? inner : undefined;
  }
  return Object.keys(unwrap(current)?.shape ?? {});
}

function unwrap(schema: z.ZodType | undefined): z.ZodObject | undefined {
  if (schema instanceof z.ZodOptional) {
    const inner: unknown = schema.unwrap();
    return inner instanceof z.ZodObject ? inner : undefined;
  }
  return schema instanceof z.ZodObject ? schema : undefined;
}
