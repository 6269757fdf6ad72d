// The report as text. A work gives tables of rows with named figures; how a figure is headed and rounded is said here.

const COLUMNS = {
  flushes: ["flushes", 1],
  latencyMs: ["latency ms", 2],
  latencyRatio: ["x", 2],
  unitsPerSecond: ["units/s", 0],
  throughputRatio: ["x", 2],
  cpuMicrosPerUnit: ["CPU us/unit", 0],
  cpuRatio: ["x", 2],
  elapsedMicros: ["us/unit", 0],
  elapsedMs: ["ms", 0],
  elapsedRatio: ["x", 2],
  cpuMs: ["CPU ms", 0],
  p50Ms: ["p50 ms", 0],
  p99Ms: ["p99 ms", 0],
  p99Ratio: ["x", 2],
  buffers: ["buffers", 0],
  pageMs: ["page ms", 2],
  rowsPerSecond: ["rows/s", 0],
  growthMb: ["RSS growth MB", 0],
};

export function printReport({ node, postgres, processors, works }) {
  const lines = [`Node ${node}, PostgreSQL ${postgres}, ${processors} processors. Medians; ratios within a pass`];
  for (const { work, title, loadAverage, tables, goals } of works) {
    lines.push("", `${work}: ${title} (load average ${loadAverage.toFixed(1)})`);
    // Client, server and proxy want a processor each; what others take away falls on the throughput first.
    if (loadAverage > 2 * processors) lines.push("  the machine is busy: do not trust the absolute figures");
    for (const table of tables) lines.push(...printTable(table));
    for (const { goal, value, isMet } of goals)
      lines.push(`  ${isMet ? "met    " : "NOT MET"} ${goal}: ${value.toFixed(2)}`);
  }
  return lines.join("\n");
}

function printTable({ title, rows }) {
  const names = Object.keys(rows[0] ?? {}).filter((name) => name in COLUMNS);
  const lines = [
    `  ${title}`,
    line(
      "library",
      "version",
      names.map((name) => COLUMNS[name][0]),
    ),
  ];
  for (const row of rows)
    lines.push(
      line(
        row.library,
        row.version,
        names.map((name) => row[name]?.toFixed(COLUMNS[name][1]) ?? ""),
      ),
    );
  return lines;
}

function line(library, version, figures) {
  return `    ${library.padEnd(40)}${version.padEnd(10)}${figures.map((figure) => figure.padStart(14)).join("")}`;
}
