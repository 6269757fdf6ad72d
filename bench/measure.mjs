// Figures of several contenders, interleaved: each pass runs every one of them once in random order, and ratios are made
// within a pass, so that a busy moment of the machine does not fall on one of them only.

export function median(values) {
  return quantile(values, 0.5);
}

/** @param share - 0…1, e.g. 0.99; between two values it is interpolated */
export function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const above = Math.ceil(place);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

function shuffled(values) {
  return values
    .map((value) => ({ value, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ value }) => value);
}

/** @returns per contender's name: what `measure` gave in each pass */
export async function interleave(opened, passes, measure) {
  const figures = new Map(opened.map(({ name }) => [name, []]));
  for (let pass = 0; pass < passes; pass++) {
    for (const contender of shuffled(opened)) figures.get(contender.name).push(await measure(contender));
  }
  return figures;
}

/** Opens all contenders, and closes them when `work` has ended. */
export async function withOpened(contenders, url, work, options) {
  const opened = [];
  try {
    for (const { open } of contenders) opened.push(await open(url, options));
    return await work(opened);
  } finally {
    await Promise.all(opened.map(({ close }) => close()));
  }
}

/** Elapsed milliseconds, and processor time of this process in milliseconds. */
export async function timed(work) {
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  await work();
  const elapsedMs = performance.now() - started;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { elapsedMs, cpuMs: (user + system) / 1000 };
}

/** `workers` at a time for `sliceMs`. @returns units per second, and processor microseconds per unit in this process */
export async function throughput(workers, sliceMs, unit) {
  let units = 0;
  const { elapsedMs, cpuMs } = await timed(async () => {
    const started = performance.now();
    const worker = async () => {
      for (; performance.now() - started < sliceMs; units++) await unit();
    };
    await Promise.all(Array.from({ length: workers }, worker));
  });
  return { unitsPerSecond: (units * 1000) / elapsedMs, cpuMicros: (cpuMs * 1000) / units };
}

/** Median of one field over all passes. */
export function medianOf(figures, name, field) {
  return median(figures.get(name).map((figure) => figure[field]));
}

/** Median over all passes of `name`'s figure divided by `reference`'s of the same pass. */
export function ratioOf(figures, name, reference, field) {
  return median(figures.get(name).map((figure, pass) => figure[field] / figures.get(reference)[pass][field]));
}

/** @param bound - `"at most"` or `"at least"` */
export function goal(text, value, bound, limit) {
  const isMet = bound === "at most" ? value <= limit : value >= limit;
  return { goal: `${text}: ${bound} ${limit}`, value, isMet };
}
