// Runs as its own process, so that neither its event loop nor its CPU time is the client's. Adds a delay to what the client
// sends, so once per round trip, and counts flushes: bursts of client data after a server reply.
// Started with: fork("delay-proxy.mjs", [host, port, delayMs]); sends { port }; answers "flushes" with { flushes }.
import { connect, createServer } from "node:net";

const [host, port, delayMs] = process.argv.slice(2);
let flushes = 0;

const server = createServer((client) => {
  const upstream = connect({ host, port: Number(port) });
  let serverSpoke = true;
  client.setNoDelay(true);
  upstream.setNoDelay(true);
  client.on("data", (bytes) => {
    if (serverSpoke) flushes++;
    serverSpoke = false;
    // Timers of one duration fire in the order they were set: the bytes keep theirs.
    setTimeout(() => upstream.write(bytes), Number(delayMs));
  });
  upstream.on("data", (bytes) => {
    serverSpoke = true;
    client.write(bytes);
  });
  client.on("close", () => upstream.destroy());
  upstream.on("close", () => client.destroy());
  // Connections end when a library is closed; what is left of them is of no interest here.
  client.on("error", () => upstream.destroy());
  upstream.on("error", () => client.destroy());
});
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.on("message", () => process.send({ flushes }));
process.on("disconnect", () => process.exit(0));
