// The cancel request of the protocol: a second, short connection that names the backend to interrupt.
import pg from "pg";
import type { PoolClient } from "pg";
import { ConnectionRefusedError } from "./errors.ts";

/** How long the request may take to reach the server. */
const CANCEL_LIMIT_MS = 5_000;

interface ClientInternals {
  readonly processID: number | null;
  readonly secretKey: unknown;
  readonly host: string;
  readonly port: number;
  readonly ssl: unknown;
}
interface CancelWire {
  readonly stream: { destroy(): void };
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: unknown): void;
  on(event: "error", listener: (error: Error) => void): void;
  once(event: string, listener: () => void): void;
}

/**
 * Resolves when the server closed the request's connection, which it does after it signalled the backend.
 *
 * @see https://www.postgresql.org/docs/18/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export function sendCancelRequest(client: PoolClient): Promise<void> {
  const { processID, secretKey, host, port, ssl } = client as unknown as ClientInternals;
  if (processID === null)
    return Promise.reject(
      new ConnectionRefusedError("the server, or a pooler in front of it, gave no key to cancel with", {
        hint: "limit the statement itself: timeoutMs, or statement_timeout",
      }),
    );
  const wire = new (pg.Connection as unknown as new (config: unknown) => CancelWire)({ ssl });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish(tooLate()), CANCEL_LIMIT_MS);
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      wire.stream.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const send = (): void => wire.cancel(processID, secretKey);
    wire.on("error", finish);
    wire.once("end", () => finish());
    if (ssl === false || ssl === undefined) wire.once("connect", send);
    else {
      wire.once("connect", () => wire.requestSsl());
      wire.once("sslconnect", send);
    }
    if (host.startsWith("/")) wire.connect(`${host}/.s.PGSQL.${port}`);
    else wire.connect(port, host);
  });
}

function tooLate(): ConnectionRefusedError {
  return new ConnectionRefusedError(`the cancel request did not reach the server in ${CANCEL_LIMIT_MS} ms`, {
    hint: "check host, port and firewall: it goes over a connection of its own",
  });
}
