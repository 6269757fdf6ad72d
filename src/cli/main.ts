#!/usr/bin/env node
// The executable: runs the command line and exits with its code. The only process.exit of the package.
import { runCli } from "./program.ts";

// The reader of our output may leave early (`pgsteward check | head`): that is no fault.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}

const exitCode = await runCli(process.argv.slice(2));
// Text that is still on its way to a pipe would be lost by an exit at once.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
