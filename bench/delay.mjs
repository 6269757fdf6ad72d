// Starts the proxy that adds latency, in a process of its own.
import { fork } from "node:child_process";
import { once } from "node:events";

/** @param delayMs - added to every round trip */
export async function startDelayProxy(url, delayMs) {
  const target = new URL(url);
  const file = new URL("./delay-proxy.mjs", import.meta.url);
  const child = fork(file, [target.hostname, target.port, String(delayMs)]);
  const [{ port }] = await once(child, "message");
  target.hostname = "127.0.0.1";
  target.port = String(port);
  const readFlushes = async () => {
    const answer = once(child, "message");
    child.send("flushes");
    return (await answer)[0].flushes;
  };
  return {
    url: target.href,
    delayMs,
    /** @returns flushes of one run of `work` on average */
    async countFlushes(runs, work) {
      const before = await readFlushes();
      for (let run = 0; run < runs; run++) await work();
      return ((await readFlushes()) - before) / runs;
    },
    stop: () => child.disconnect(),
  };
}
