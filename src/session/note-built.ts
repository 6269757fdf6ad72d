// Lets a unit's observers know where Drizzle's builders are made: the call of `tx.select()` is the last moment at which the
// program's own stack frame is there.
import { isMethod } from "./wrap-method.ts";
import type { UnitObservation } from "./unit-observer.ts";

const BUILDERS = [
  "$count",
  "delete",
  "execute",
  "insert",
  "select",
  "selectDistinct",
  "selectDistinctOn",
  "update",
  "with",
];

/** Wraps the methods of a class that begin a statement. */
export function noteBuilders(
  prototype: object,
  observationOf: (tx: object) => { noteBuilt(): void } | undefined,
): void {
  for (const name of BUILDERS) {
    const original: unknown = Reflect.get(prototype, name);
    if (!isMethod(original)) continue;
    Object.defineProperty(prototype, name, {
      configurable: true,
      writable: true,
      value(this: object, ...args: unknown[]) {
        observationOf(this)?.noteBuilt();
        return original.apply(this, args);
      },
    });
  }
}

/** `tx.query` of one unit: asking for it begins a statement. */
export function noteRelational(tx: { query: unknown }, observation: UnitObservation): void {
  const { query } = tx;
  if (typeof query !== "object" || query === null) return;
  // Not a getter on `tx`: redefining a property would make every access to it slow.
  tx.query = new Proxy(query, {
    get(target, name) {
      observation.noteBuilt();
      return Reflect.get(target, name) as unknown;
    },
  });
}
