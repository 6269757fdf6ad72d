// One statement of our own as a parse tree, without waiting: planning is synchronous.
import { createRequire } from "node:module";
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from "node:worker_threads";
import { loadModule, parseSync } from "libpg-query";
import { InternalError } from "../postgres/index.ts";
import type { ScriptStatement } from "./sql-script.ts";

type Tree = ReturnType<typeof parseSync>;

// Importing libpg-query starts its WebAssembly anyhow (50 to 160 ms). It is not awaited here: a module that waits cannot be had by
// require(), which answers ERR_REQUIRE_ASYNC_MODULE.
let isLoaded = false;
let worker: BlockingParser | undefined;
void loadModule().then(() => {
  isLoaded = true;
  worker?.close();
  worker = undefined;
});

/** @throws Error of libpg-query when the text is no statement */
export function parseStatement(sql: string): Pick<ScriptStatement, "kind" | "node"> {
  const [first] = parseNow(sql).stmts ?? [];
  const node = (first?.stmt ?? {}) as unknown as Readonly<Record<string, unknown>>;
  const [kind = ""] = Object.keys(node);
  return { kind, node: (node[kind] ?? {}) as Readonly<Record<string, unknown>> };
}

/** Whoever plans in the same tick as the import has no loaded parser yet: a thread loads one, and is waited for. */
function parseNow(sql: string): Tree {
  if (isLoaded) return parseSync(sql);
  worker ??= new BlockingParser();
  return worker.parse(sql);
}

const THREAD = `
const { workerData: { parserPath, port, answered } } = require("node:worker_threads");
const parser = require(parserPath);
port.on("message", async (sql) => {
  let answer;
  try {
    await parser.loadModule();
    answer = { tree: parser.parseSync(sql) };
  } catch (error) {
    answer = { message: String(error.message) };
  }
  port.postMessage(answer);
  Atomics.store(answered, 0, 1);
  Atomics.notify(answered, 0);
});`;
const LIMIT_MS = 30_000;

class BlockingParser {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #answered = new Int32Array(new SharedArrayBuffer(4));

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(THREAD, {
      eval: true,
      workerData: {
        parserPath: createRequire(import.meta.url).resolve("libpg-query"),
        port: port2,
        answered: this.#answered,
      },
      transferList: [port2],
    });
    this.#worker.unref();
    this.#port.unref();
  }

  parse(sql: string): Tree {
    Atomics.store(this.#answered, 0, 0);
    this.#port.postMessage(sql);
    Atomics.wait(this.#answered, 0, 0, LIMIT_MS);
    const answer = receiveMessageOnPort(this.#port)?.message as { tree?: Tree; message?: string } | undefined;
    if (answer === undefined) throw new InternalError("the thread that parses SQL did not answer");
    if (answer.tree === undefined) throw new Error(answer.message);
    return answer.tree;
  }

  close(): void {
    this.#port.close();
    void this.#worker.terminate();
  }
}
