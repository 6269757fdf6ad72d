// Ports for servers that are down for a while, or that find out only after the search whether their port is still free.
import { createServer } from "node:net";

/** Below these lie the ports of services, above them those that the system gives to whoever asks for any. */
const FIRST = 15_000;
const COUNT = 15_000;

/** A port of 127.0.0.1 that is free now, and that nobody gets by chance when it is free again. */
export async function ownPort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
