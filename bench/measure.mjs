// Latency, throughput and CPU time of all libraries, interleaved: each pass runs every library once in random order, and
// ratios are made within a pass, so that a busy moment of the machine does not fall on one library only.
import { randomItem, runUnit } from "./workload.mjs";

const WORKERS = 16;
const SLICE_MS = 300;

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function shuffled(values) {
  return values
    .map((value) => ({ value, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ value }) => value);
}

/** One unit at a time. @returns per library: the milliseconds of each pass */
export async function measureLatency(opened, items, passes) {
  const timesMs = new Map(opened.map(({ name }) => [name, []]));
  for (let pass = 0; pass < passes; pass++) {
    for (const library of shuffled(opened)) {
      const item = randomItem(items);
      const started = performance.now();
      await runUnit(library, item);
      timesMs.get(library.name).push(performance.now() - started);
    }
  }
  return timesMs;
}

/** 16 workers on a pool of 4. @returns per library and round: units per second, and CPU microseconds per unit in this process */
export async function measureThroughput(opened, items, rounds) {
  const figures = new Map(opened.map(({ name }) => [name, { unitsPerSecond: [], cpuMicros: [] }]));
  for (let round = 0; round < rounds; round++) {
    for (const library of shuffled(opened)) {
      const cpuBefore = process.cpuUsage();
      const started = performance.now();
      const counts = await Promise.all(
        Array.from({ length: WORKERS }, async () => {
          let done = 0;
          while (performance.now() - started < SLICE_MS) {
            await runUnit(library, randomItem(items));
            done++;
          }
          return done;
        }),
      );
      const seconds = (performance.now() - started) / 1000;
      const cpu = process.cpuUsage(cpuBefore);
      const units = counts.reduce((sum, count) => sum + count, 0);
      figures.get(library.name).unitsPerSecond.push(units / seconds);
      figures.get(library.name).cpuMicros.push((cpu.user + cpu.system) / units);
    }
  }
  return figures;
}

/** Median over all passes of `values[pass] / reference[pass]`. */
export function medianRatio(values, reference) {
  return median(values.map((value, pass) => value / reference[pass]));
}
