#!/usr/bin/env node
// The executable: runs the command line and exits with its code. The only process.exit of the package.
import { runCli } from "./program.ts";

const OUTPUT_LOST = 74;

/** The reader of our output may leave early (`pgsteward check | head`): that is no fault. A full disk is one. */
function exitWithout(stream: NodeJS.WriteStream, error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  if (stream === process.stderr) process.exit(OUTPUT_LOST);
  process.stderr.write(`error: the output is lost: ${error.message}\nhint: make room, or send it elsewhere\n`, () =>
    process.exit(OUTPUT_LOST),
  );
}

for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => exitWithout(stream, error));

const exitCode = await runCli(process.argv.slice(2));
// Text that is still on its way to a pipe would be lost by an exit at once.
process.stdout.write("", (lost) => {
  if (lost === undefined || lost === null) process.stderr.write("", () => process.exit(exitCode));
  else exitWithout(process.stdout, lost);
});
