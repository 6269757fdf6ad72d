// Finds what a serial order of units cannot explain in a history of appends and reads of whole lists, as Elle does: the order
// of the appends to a list is what the longest read shows, and units depend on each other through it.

/** What one committed unit read and appended, in its order. Values are unique over the whole history. */
export type Operation =
  | { readonly kind: "append"; readonly list: number; readonly value: number }
  | { readonly kind: "read"; readonly list: number; readonly values: readonly number[] };

export interface CommittedUnit {
  readonly id: number;
  readonly operations: readonly Operation[];
}

export interface History {
  /** Units whose commit was acknowledged. */
  readonly committed: readonly CommittedUnit[];
  /** Values of units that certainly failed. */
  readonly failedValues: ReadonlySet<number>;
  /** The lists at the end, read when everything was over. */
  readonly final: ReadonlyMap<number, readonly number[]>;
}

export interface Anomaly {
  readonly kind: "lost append" | "dirty read" | "repeated append" | "incompatible order" | "half a unit" | "cycle";
  readonly detail: string;
}

type EdgeKind = "ww" | "wr" | "rw";

export function findAnomalies(history: History): Anomaly[] {
  const anomalies: Anomaly[] = [];
  const report = (kind: Anomaly["kind"], detail: string): void => void anomalies.push({ kind, detail });
  const writerOf = new Map<number, CommittedUnit>();
  for (const unit of history.committed) {
    for (const operation of unit.operations) if (operation.kind === "append") writerOf.set(operation.value, unit);
  }

  for (const [list, values] of history.final) {
    if (new Set(values).size !== values.length) report("repeated append", `list ${list}: ${values.join(" ")}`);
    for (const value of values)
      if (history.failedValues.has(value)) report("dirty read", `${value} of a failed unit is in list ${list}`);
  }
  for (const unit of history.committed) {
    const appends = unit.operations.filter((operation) => operation.kind === "append");
    const missing = appends.filter(({ list, value }) => !(history.final.get(list) ?? []).includes(value));
    if (missing.length > 0)
      report(
        missing.length === appends.length ? "lost append" : "half a unit",
        `unit ${unit.id}: ${missing.map(({ list, value }) => `${value} of list ${list}`).join(", ")}`,
      );
    for (const operation of unit.operations) {
      if (operation.kind !== "read") continue;
      const final = history.final.get(operation.list) ?? [];
      const isPrefix = operation.values.every((value, index) => final[index] === value);
      if (!isPrefix)
        report("incompatible order", `unit ${unit.id} read list ${operation.list} as ${operation.values.join(" ")}`);
    }
  }

  const cycle = findCycle(dependencies(history, writerOf));
  if (cycle !== undefined) report("cycle", cycle);
  return anomalies;
}

/** Who must come before whom: writers of a list in its order, a writer before those who saw it, a reader before who wrote next. */
function dependencies(
  { committed, final }: History,
  writerOf: ReadonlyMap<number, CommittedUnit>,
): Map<number, Map<number, EdgeKind>> {
  const edges = new Map<number, Map<number, EdgeKind>>(committed.map(({ id }) => [id, new Map<number, EdgeKind>()]));
  const add = (from: CommittedUnit | undefined, to: CommittedUnit | undefined, kind: EdgeKind): void => {
    if (from !== undefined && to !== undefined && from.id !== to.id) edges.get(from.id)?.set(to.id, kind);
  };
  for (const values of final.values()) {
    for (const [index, value] of values.entries())
      add(writerOf.get(values[index - 1] ?? Number.NaN), writerOf.get(value), "ww");
  }
  for (const unit of committed) {
    for (const operation of unit.operations) {
      if (operation.kind !== "read") continue;
      add(writerOf.get(operation.values.at(-1) ?? Number.NaN), unit, "wr");
      const next = (final.get(operation.list) ?? [])[operation.values.length];
      add(unit, writerOf.get(next ?? Number.NaN), "rw");
    }
  }
  return edges;
}

function findCycle(edges: ReadonlyMap<number, ReadonlyMap<number, EdgeKind>>): string | undefined {
  const state = new Map<number, "open" | "done">();
  for (const start of edges.keys()) {
    if (state.has(start)) continue;
    const path: { readonly id: number; readonly rest: Iterator<[number, EdgeKind]> }[] = [];
    const enter = (id: number): void => {
      state.set(id, "open");
      path.push({ id, rest: (edges.get(id) ?? new Map<number, EdgeKind>()).entries() });
    };
    enter(start);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const next = top.rest.next();
      if (next.done === true) {
        state.set(top.id, "done");
        path.pop();
        continue;
      }
      const [id] = next.value;
      if (state.get(id) === "open") {
        const ids = path.map((entry) => entry.id);
        return describe([...ids.slice(ids.indexOf(id)), id], edges);
      }
      if (!state.has(id)) enter(id);
    }
  }
  return undefined;
}

function describe(ids: readonly number[], edges: ReadonlyMap<number, ReadonlyMap<number, EdgeKind>>): string {
  return ids
    .map((id, index) => {
      const next = ids[index + 1];
      return next === undefined ? String(id) : `${id} -${edges.get(id)?.get(next) ?? "?"}->`;
    })
    .join(" ");
}
