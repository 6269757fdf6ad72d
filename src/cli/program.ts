// The command line: global options, help, how errors and signals become exit codes. Returns the exit code; main.ts exits.
import { Command, CommanderError } from "commander";
import { nearestWord } from "../config/nearest.ts";
import { redactText } from "../logging/redact.ts";
import { CancelledError, InvalidInputError } from "../postgres/errors.ts";
import { packageVersion, type Run } from "./command.ts";
import { loadCommands } from "./commands/index.ts";
import type { GlobalOptions } from "./context.ts";
import { refuseEmptyValues } from "./empty-values.ts";
import { Output } from "./output.ts";

const EXAMPLES = `Examples:
  pgsteward start                          a database with sample data, a report and a first page, in this folder
  pgsteward check                          check the database of this folder, of DATABASE_URL or of --database
  pgsteward check schema.sql --json        check a dump or a folder of .sql files; no server needed
  pgsteward lint migrations/               locks, rewrites and data loss of SQL migrations, before they run
  pgsteward describe tasks.todos           what there is to know about one table
  pgsteward diff old.sql new.sql           the SQL that leads from one schema to another
  pgsteward migrate up                     apply the pending migrations; also: generate, plan, verify, down, status
  pgsteward doctor                         settings with their origin, connection, rights, what is wrong
`;

const EXIT_CODES = `
Exit codes:
  0 done   1 findings at or above --fail-on   64 wrong use   65 wrong data   69 not reachable   70 fault in pgsteward
  73 cannot create   74 output lost   75 try again later   77 not allowed   78 wrong configuration   130 Ctrl-C   143 SIGTERM

Environment: PGSTEWARD_DATABASE_URL, DATABASE_URL, PGSTEWARD_LOG_LEVEL, NO_COLOR, DEBUG; all in docs/configuration.md`;

/** Runs one command line, e.g. `["check", "schema.sql", "--json"]`, and returns its exit code. */
export async function runCli(args: readonly string[]): Promise<number> {
  const abort = new AbortController();
  let exitCode = 0;
  const outputFor = (options: GlobalOptions): Output =>
    new Output(process.stdout, process.stderr, process.env, {
      json: options.json ?? args.includes("--json"),
      verbose: options.verbose ?? ((process.env["DEBUG"] ?? "") !== "" || args.includes("--verbose")),
      color: options.color ?? !args.includes("--no-color"),
    });

  const unwatch = watchSignals(abort);
  const run: Run = async (command, action) => {
    refuseEmptyValues(command);
    const options: GlobalOptions = command.optsWithGlobals();
    const context = {
      output: outputFor(options),
      cwd: process.cwd(),
      env: process.env,
      signal: abort.signal,
      leaveNothingBehind: unwatch,
      options,
    };
    exitCode = await untilAborted(action(context), abort.signal);
  };
  const program = await makeProgram(run, args);
  const unwarn = noteWarnings(outputFor({}));
  try {
    if (args.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0; // --help, --version
    const output = outputFor({});
    if (abort.signal.aborted) {
      const reason: unknown = abort.signal.reason;
      const code = reason === "SIGTERM" ? 143 : 130;
      if (!output.json) output.note("stopped");
      // What is done and how to go on is in the command's own error.
      else output.error(thrown instanceof CancelledError ? thrown : new CancelledError("stopped"), code);
      return code;
    }
    return output.error(thrown instanceof CommanderError ? usageError(thrown, program, args) : thrown);
  } finally {
    unwatch();
    unwarn();
  }
}

/**
 * What Node and libraries warn of is a note; with `--json` stderr holds JSON only. Node would print it with its process id and advice
 * about its own flags: `sslmode=require`, which many hosts give, makes the driver warn in seven lines.
 */
function noteWarnings(output: Output): () => void {
  const nodes = process.listeners("warning");
  const note = (warning: Error): void => {
    output.note(`${warning.name === "Warning" ? "warning" : warning.name}: ${redactText(warning.message)}`);
  };
  process.removeAllListeners("warning");
  process.on("warning", note);
  return () => {
    process.off("warning", note);
    for (const listener of nodes) process.on("warning", listener);
  };
}

async function makeProgram(run: Run, args: readonly string[]): Promise<Command> {
  const program = new Command("pgsteward")
    .description(
      "PostgreSQL that AI agents cannot misuse: it looks at a schema, says what is wrong, and shows the remedy.",
    )
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .option("--json", "print the result as one JSON document")
    .option("--database <url>", "postgres://user@host:5432/name, pglite: (memory) or pglite:./folder")
    .option("--config <file>", "configuration file instead of pgsteward.config.{ts,mts,js,mjs,json}")
    .option("--no-color", "no colours (also: NO_COLOR=1)")
    .option("--verbose", "log more, and show the stack of an error")
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .addHelpText("before", EXAMPLES)
    .addHelpText("after", EXIT_CODES);
  for (const make of await loadCommands(args)) program.addCommand(make(run));
  for (const command of withSubcommands(program)) {
    command
      .exitOverride()
      .configureOutput({ writeErr: () => undefined, outputError: () => undefined })
      .showSuggestionAfterError(false)
      .allowExcessArguments(false);
    if (command !== program)
      command
        .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
        .helpOption("-h, --help", "show this help");
  }
  return program;
}

/** The words that lead to a command, e.g. `pgsteward migrate up`. */
function pathTo(command: Command): readonly string[] {
  return [...(command.parent === null ? [] : pathTo(command.parent)), command.name()];
}

function withSubcommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** The command, or subcommand of a group, that the arguments name. */
function namedCommand(program: Command, args: readonly string[]): Command | undefined {
  const find = (within: Command): Command | undefined =>
    within.commands.find((candidate) => args.includes(candidate.name()));
  const command = find(program);
  return (command === undefined ? undefined : find(command)) ?? command;
}

/** commander's complaint as one of our errors, with the nearest command or option. */
function usageError(error: CommanderError, program: Command, args: readonly string[]): InvalidInputError {
  const message = error.message
    .replace(/^error: (?:command-argument value)?/, "")
    .replaceAll("'", "")
    .trim();
  const wrong = /'([^']*)'/.exec(error.message)?.[1] ?? "";
  const command = namedCommand(program, args);
  const known =
    error.code === "commander.unknownCommand"
      ? (command ?? program).commands.map((candidate) => candidate.name())
      : error.code === "commander.unknownOption"
        ? [...program.options, ...(command?.options ?? [])].flatMap((option) => option.long ?? [])
        : [];
  const nearest = nearestWord(wrong.split("=", 1)[0] ?? "", known);
  const help = `${pathTo(command ?? program).join(" ")} --help`;
  return new InvalidInputError(message, {
    hint: nearest === undefined ? `see ${help}` : `did you mean ${nearest}? see ${help}`,
  });
}

/** The first signal asks the command to end; the second one ends the process at once. */
function watchSignals(abort: AbortController): () => void {
  const onSignal = (signal: NodeJS.Signals): void => {
    if (abort.signal.aborted) {
      unwatch(); // without our handler the signal ends the process
      process.kill(process.pid, signal);
      return;
    }
    abort.abort(signal);
  };
  const unwatch = (): void => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return unwatch;
}

/** Longest wait, after Ctrl-C, for a command to put things in order. */
const UNWIND_MS = 10_000;

function untilAborted(work: Promise<number>, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      const timer = setTimeout(() => reject(new CancelledError("stopped by a signal")), UNWIND_MS);
      timer.unref();
    };
    signal.addEventListener("abort", giveUp, { once: true });
    work.then(
      // A command that ends by itself after the signal is still one that was stopped.
      (code) => (signal.aborted ? reject(new CancelledError("stopped by a signal")) : resolve(code)),
      (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))),
    );
  });
}
