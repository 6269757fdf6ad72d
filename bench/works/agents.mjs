// 200 agents at once on a pool of 10: how long a unit takes from its call to its end, waiting for a connection included.
import { BY_HAND, libraries, OURS, OWN_FORMS } from "../libraries.mjs";
import { goal, interleave, medianOf, quantile, ratioOf, withOpened } from "../measure.mjs";
import { randomItem, runUnit } from "../workload.mjs";

const POOL_SIZE = 10;
const AGENTS = 200;
const UNITS_PER_AGENT = 3;
const WARM_UP_UNITS = 200;

export const agents = {
  name: "agents",
  title: `${AGENTS} concurrent agents on a pool of ${POOL_SIZE}, time of a unit with its wait`,
  contenders: libraries,
  async measure({ database, proxy, chosen, passes }) {
    const rounds = Math.max(3, Math.round(passes / 30));
    const burst = async (library) => {
      const times = [];
      const started = performance.now();
      const agent = async () => {
        for (let unit = 0; unit < UNITS_PER_AGENT; unit++) {
          const asked = performance.now();
          await runUnit(library, randomItem(database.items));
          times.push(performance.now() - asked);
        }
      };
      await Promise.all(Array.from({ length: AGENTS }, agent));
      const unitsPerSecond = (times.length * 1000) / (performance.now() - started);
      return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), unitsPerSecond };
    };
    const figures = await withOpened(
      chosen,
      proxy.url,
      async (opened) => {
        for (const library of opened)
          await Promise.all(Array.from({ length: WARM_UP_UNITS }, () => runUnit(library, randomItem(database.items))));
        return interleave(opened, rounds, burst);
      },
      { poolSize: POOL_SIZE },
    );
    const rows = chosen.map(({ name, version }) => ({
      library: name,
      version,
      p50Ms: medianOf(figures, name, "p50Ms"),
      p99Ms: medianOf(figures, name, "p99Ms"),
      p99Ratio: ratioOf(figures, name, OURS, "p99Ms"),
      unitsPerSecond: medianOf(figures, name, "unitsPerSecond"),
    }));
    const peers = rows.filter(({ library }) => !OWN_FORMS.includes(library) && library !== BY_HAND);
    const [best] = peers.toSorted((a, b) => a.p99Ratio - b.p99Ratio);
    return {
      tables: [
        {
          title: `+${proxy.delayMs} ms, ${rounds} rounds of ${AGENTS * UNITS_PER_AGENT} units. x: relative to ${OURS}`,
          rows,
        },
      ],
      goals:
        best === undefined ? [] : [goal(`p99 / the best peer's (${best.library})`, 1 / best.p99Ratio, "at most", 1)],
    };
  },
};
