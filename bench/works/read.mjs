// Tenant-scoped read by key: one unit at a time, and 16 workers on a pool of 4; with latency added, and directly.
import { POOL_SIZE } from "../clients.mjs";
import { BY_HAND, libraries, OURS, OWN_FORMS, PREPARED } from "../libraries.mjs";
import { goal, interleave, medianOf, ratioOf, throughput, timed, withOpened } from "../measure.mjs";
import { checkIsolation, randomItem, runUnit } from "../workload.mjs";

const WARM_UP_UNITS = 200;
const COUNTED_UNITS = 20;
const WORKERS = 16;
const SLICE_MS = 300;

export const read = {
  name: "read",
  title: "tenant-scoped read by key: context and one row under row-level security",
  contenders: libraries,
  async measure({ database, proxy, chosen, passes }) {
    const rounds = Math.max(3, Math.round(passes / 25));
    const direct = await measureAt(database.url, database.items, chosen, passes, rounds);
    const delayed = await measureAt(proxy.url, database.items, chosen, passes, rounds, proxy);
    const about = `latency: one unit at a time, ${passes} passes. throughput: ${WORKERS} workers on a pool of ${POOL_SIZE}, ${rounds} rounds. x: relative to ${OURS}`;
    return {
      tables: [
        { title: `+${proxy.delayMs} ms. ${about}`, rows: delayed },
        { title: "direct", rows: direct },
      ],
      goals: goals(delayed, direct, proxy.delayMs),
    };
  },
};

async function measureAt(url, items, contenders, passes, rounds, proxy) {
  return withOpened(contenders, url, async (opened) => {
    const flushes = new Map();
    for (const library of opened) {
      await checkIsolation(library, items);
      for (let unit = 0; unit < WARM_UP_UNITS; unit++) await runUnit(library, randomItem(items));
      if (proxy === undefined) continue;
      flushes.set(library.name, await proxy.countFlushes(COUNTED_UNITS, () => runUnit(library, randomItem(items))));
    }
    const latency = await interleave(opened, passes, (library) => {
      const item = randomItem(items);
      return timed(() => runUnit(library, item));
    });
    const load = await interleave(opened, rounds, (library) =>
      throughput(WORKERS, SLICE_MS, () => runUnit(library, randomItem(items))),
    );
    return opened.map(({ name, version }) => ({
      library: name,
      version,
      ...(proxy === undefined ? {} : { flushes: flushes.get(name) }),
      latencyMs: medianOf(latency, name, "elapsedMs"),
      latencyRatio: ratioOf(latency, name, OURS, "elapsedMs"),
      unitsPerSecond: medianOf(load, name, "unitsPerSecond"),
      throughputRatio: ratioOf(load, name, OURS, "unitsPerSecond"),
      cpuMicrosPerUnit: medianOf(load, name, "cpuMicros"),
    }));
  });
}

/** Ratios of the other libraries to pgsteward are turned round here, to read as the goals do. */
function goals(delayed, direct, delayMs) {
  const peersOf = (rows) => rows.filter(({ library }) => !OWN_FORMS.includes(library) && library !== BY_HAND);
  const drizzleOf = (rows) => rows.find(({ library }) => library.startsWith("drizzle"));
  const made = [];
  const drizzleDelayed = drizzleOf(delayed);
  if (drizzleDelayed !== undefined) {
    const prepared = delayed.find(({ library }) => library === PREPARED);
    made.push(goal(`time at +${delayMs} ms / drizzle's`, 1 / drizzleDelayed.latencyRatio, "at most", 0.3));
    if (prepared !== undefined) {
      const ratio = prepared.latencyRatio / drizzleDelayed.latencyRatio;
      made.push(goal(`time at +${delayMs} ms, prepared / drizzle's`, ratio, "at most", 0.3));
    }
  }
  const [best] = peersOf(delayed).toSorted((a, b) => b.throughputRatio - a.throughputRatio);
  if (best !== undefined)
    made.push(
      goal(`throughput at +${delayMs} ms / the best peer's (${best.library})`, 1 / best.throughputRatio, "at least", 2),
    );
  const drizzleDirect = drizzleOf(direct);
  if (drizzleDirect !== undefined)
    made.push(goal("throughput direct / drizzle's", 1 / drizzleDirect.throughputRatio, "at least", 1.2));
  return made;
}
