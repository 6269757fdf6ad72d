// Puts things in an order in which each comes after what it must follow; where there is a choice, the lower rank and then the
// name decides, so that the same input gives the same order everywhere.

export interface Ordered {
  readonly key: string;
  readonly rank: number;
  /** Decides among those of a rank instead of the key. */
  readonly place?: string;
  /** Keys of what must come earlier; unknown ones do not count. */
  readonly after: ReadonlySet<string>;
}

/**
 * A topological order. In a circle the thing of the lowest rank goes first: the server then says what is missing, and nothing
 * is left out.
 */
export function inOrder<T extends Ordered>(things: readonly T[]): readonly T[] {
  const byKey = new Map(things.map((thing) => [thing.key, thing]));
  const waitsFor = new Map<string, number>();
  const followers = new Map<string, T[]>();
  for (const thing of things) {
    let count = 0;
    for (const key of thing.after) {
      if (key === thing.key || !byKey.has(key)) continue;
      count++;
      const list = followers.get(key);
      if (list === undefined) followers.set(key, [thing]);
      else list.push(thing);
    }
    waitsFor.set(thing.key, count);
  }
  const rest = new Set(things);
  const ready = new Heap<T>(comesBefore);
  for (const thing of things) if (waitsFor.get(thing.key) === 0) ready.push(thing);
  const ordered: T[] = [];
  while (rest.size > 0) {
    const next = ready.pop() ?? lowest(rest);
    if (!rest.delete(next)) continue;
    ordered.push(next);
    for (const follower of followers.get(next.key) ?? []) {
      const count = (waitsFor.get(follower.key) ?? 0) - 1;
      waitsFor.set(follower.key, count);
      if (count === 0) ready.push(follower);
    }
  }
  return ordered;
}

function comesBefore(a: Ordered, b: Ordered): boolean {
  return a.rank === b.rank ? (a.place ?? a.key) < (b.place ?? b.key) : a.rank < b.rank;
}

function lowest<T extends Ordered>(things: ReadonlySet<T>): T {
  return [...things].reduce((best, thing) => (comesBefore(thing, best) ? thing : best));
}

class Heap<T> {
  readonly #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent];
      if (above === undefined || !this.#before(item, above)) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const first = items[left];
      const second = items[left + 1];
      if (first === undefined) break;
      const child = second !== undefined && this.#before(second, first) ? second : first;
      if (!this.#before(child, last)) break;
      items[at] = child;
      at = child === first ? left : left + 1;
    }
    items[at] = last;
    return top;
  }
}
