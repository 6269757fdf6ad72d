// What commands print: results on stdout, everything else on stderr, colours only where they are wanted.
import { ERROR_CODES, InternalError, StewardError } from "../postgres/errors.ts";
import { fileFault } from "../postgres/file-fault.ts";
import { redactText } from "../logging/redact.ts";

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof CODES;
export type Paint = (style: Style, text: string) => string;

export interface OutputOptions {
  readonly json: boolean;
  readonly verbose: boolean;
  /** False for `--no-color`; otherwise the environment and the stream decide. */
  readonly color: boolean;
}

export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

/** Whether a stream gets colours: NO_COLOR and `--no-color` beat everything, FORCE_COLOR beats the lack of a terminal. */
export function wantsColors(
  stream: OutputStream,
  env: Readonly<Record<string, string | undefined>>,
  color: boolean,
): boolean {
  if (!color || (env["NO_COLOR"] ?? "") !== "") return false;
  const forced = env["FORCE_COLOR"] ?? env["CLICOLOR_FORCE"];
  if (forced !== undefined && forced !== "") return forced !== "0" && forced !== "false";
  return stream.isTTY === true && env["TERM"] !== "dumb" && env["CLICOLOR"] !== "0";
}

export class Output {
  readonly json: boolean;
  readonly verbose: boolean;
  /** Colours for stdout. */
  readonly paint: Paint;
  readonly colorsOnStderr: boolean;
  readonly #stdout: OutputStream;
  readonly #stderr: OutputStream;
  readonly #paintStderr: Paint;

  constructor(
    stdout: OutputStream,
    stderr: OutputStream,
    env: Readonly<Record<string, string | undefined>>,
    options: OutputOptions,
  ) {
    this.json = options.json;
    this.verbose = options.verbose;
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.paint = painter(wantsColors(stdout, env, options.color));
    this.colorsOnStderr = wantsColors(stderr, env, options.color);
    this.#paintStderr = painter(this.colorsOnStderr);
  }

  /** The command's result: with `--json` the data as one document, else the text. */
  result(data: unknown, text: () => string): void {
    this.#stdout.write(this.json ? `${JSON.stringify(data, undefined, 2)}\n` : `${text()}\n`);
  }

  /** Something a person may want to know; not part of the result. */
  note(text: string): void {
    if (!this.json) this.#stderr.write(`${this.#paintStderr("dim", text)}\n`);
  }

  /** How far a command is: a note, or with `--json` one line `{ "progress": … }` on stderr. */
  progress(data: unknown, text: () => string): void {
    if (this.json) this.#stderr.write(`${JSON.stringify({ progress: data })}\n`);
    else this.note(text());
  }

  /**
   * Prints an error and returns the exit code it stands for.
   *
   * @param code - the exit code when it is not the error's own, as after SIGTERM
   */
  error(thrown: unknown, code?: number): number {
    const error = asStewardError(thrown);
    const exitCode = code ?? ERROR_CODES[error.code].exitCode;
    const message = redactText(error.message);
    const hint = error.hint === undefined ? undefined : redactText(error.hint);
    if (this.json) {
      const stack = this.verbose ? redactText(fullStack(error)) : undefined;
      this.#stderr.write(
        `${JSON.stringify({ error: { code: error.code, message, hint, exitCode, stack } }, undefined, 2)}\n`,
      );
      return exitCode;
    }
    const paint = this.#paintStderr;
    this.#stderr.write(`${paint("red", `error ${error.code}:`)} ${message}\n`);
    if (hint !== undefined) this.#stderr.write(`${paint("cyan", "hint:")} ${hint}\n`);
    if (this.verbose) this.#stderr.write(`${paint("dim", redactText(fullStack(error)))}\n`);
    return exitCode;
  }
}

function painter(colors: boolean): Paint {
  return (style, text) => {
    const [on, off] = CODES[style];
    return colors && text !== "" ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  };
}

function asStewardError(thrown: unknown): StewardError {
  if (thrown instanceof StewardError) return thrown;
  const refused = fileFault(thrown);
  if (refused !== undefined) return refused;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new InternalError(message, {
    cause: thrown,
    hint: "this is a fault in pgsteward: run it again with --verbose and report what it prints",
  });
}

function fullStack(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${fullStack(error.cause)}` : own;
}

/** Control characters of names and messages made visible: a name in a database must not be able to steer a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  });
}

/** Rows as aligned columns, two spaces apart; the last column is not padded. */
export function alignColumns(rows: readonly (readonly string[])[], indent = ""): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, displayWidth(cell))));
  return rows
    .map((row) =>
      (
        indent +
        row
          .map((cell, index) =>
            index === row.length - 1 ? cell : cell + " ".repeat((widths[index] ?? 0) - displayWidth(cell)),
          )
          .join("  ")
      ).trimEnd(),
    )
    .join("\n");
}

function displayWidth(text: string): number {
  const [plain = "", ...styled] = text.split("\u001b");
  return Array.from(plain + styled.map((part) => part.replace(/^\[\d+m/, "")).join("")).length;
}
