// A result of millions of rows, read one by one: how much the process grows. Each contender has a process of its own, so that
// what other works left behind does not count.
import { fork } from "node:child_process";
import { once } from "node:events";
import { pgsteward, postgresJs } from "../clients.mjs";
import { goal } from "../measure.mjs";

const ROWS = 1_000_000;
const LONG_ROWS = 10_000_000;
const OURS = "pgsteward stream()";

const contenders = [
  { name: OURS, version: pgsteward.version, form: "pgsteward" },
  { name: "postgres.js cursor()", version: postgresJs.version, form: "postgresJs" },
];

export const stream = {
  name: "stream",
  title: "rows read one by one, growth of the process",
  contenders,
  async measure({ database, chosen, isLong }) {
    const rowCount = isLong ? LONG_ROWS : ROWS;
    const rows = [];
    for (const { name, version, form } of chosen)
      rows.push({ library: name, version, ...(await readInProcess(form, database.url, rowCount)) });
    return {
      tables: [{ title: `${rowCount} rows${isLong ? "" : " (--long: 10 million)"}, fetched 1,000 at a time`, rows }],
      goals: [goal(`growth in MB over ${rowCount} rows`, rows[0].growthMb, "at most", 100)],
    };
  },
};

async function readInProcess(form, url, rowCount) {
  const child = fork(new URL("./stream-process.mjs", import.meta.url), [form, url, String(rowCount)]);
  const [answer] = await Promise.race([once(child, "message"), once(child, "exit")]);
  if (typeof answer !== "object" || answer === null) throw new Error(`the process of ${form} ended with ${answer}`);
  return answer;
}
