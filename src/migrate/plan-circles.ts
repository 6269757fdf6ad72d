// Finds nodes of a plan that wait for each other. A circle through something altered in place opens when that is made again instead.
interface Waiting {
  readonly key: string;
  /** Keys of what must come earlier; unknown ones do not count. */
  readonly after: ReadonlySet<string>;
}

/** The nodes of circles, and those between two circles; empty when an order exists. */
export function inCircles<T extends Waiting>(nodes: readonly T[]): readonly T[] {
  const keys = new Set(nodes.map(({ key }) => key));
  const earlier = new Map<string, string[]>();
  const later = new Map<string, string[]>(nodes.map(({ key }) => [key, []]));
  for (const { key, after } of nodes) {
    const known = [...after].filter((other) => other !== key && keys.has(other));
    earlier.set(key, known);
    for (const other of known) later.get(other)?.push(key);
  }
  for (const [waitsFor, followers] of [
    [earlier, later],
    [later, earlier],
  ] as const) {
    const left = new Map(
      [...keys].map((key) => [key, waitsFor.get(key)?.filter((other) => keys.has(other)).length ?? 0]),
    );
    const free = [...keys].filter((key) => left.get(key) === 0);
    for (let key = free.pop(); key !== undefined; key = free.pop()) {
      keys.delete(key);
      for (const follower of followers.get(key) ?? []) {
        if (!keys.has(follower)) continue;
        const count = (left.get(follower) ?? 0) - 1;
        left.set(follower, count);
        if (count === 0) free.push(follower);
      }
    }
  }
  return nodes.filter(({ key }) => keys.has(key));
}
