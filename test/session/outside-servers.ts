// Servers on loopback that count what reaches them: the outside world of the guard's tests.
import { createSocket } from "node:dgram";
import { createServer, type RequestListener } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

// Self-signed for localhost, for these tests only.
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghU09Q9imtxftUX2n
0jl7JJ/0SxfWj4hHJV8z7v5Xp9KhRANCAAScSZ7YyWlSFLHtvTT7BGLcqncLPw9J
+kMYl6ELHkkU2eJpAvDmvMdGnacBY/Th4SgJkhl6P71UcU2NkY/H4/yh
-----END PRIVATE KEY-----`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUQXJzqOn826X5WBzY5xo5HkqheO0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjA0NTU1MloYDzIxMjYxMDI5
MDQ1NTUyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAScSZ7YyWlSFLHtvTT7BGLcqncLPw9J+kMYl6ELHkkU2eJpAvDmvMdG
nacBY/Th4SgJkhl6P71UcU2NkY/H4/yho28wbTAdBgNVHQ4EFgQUs6vGpbi+XOl1
J5yXmAj5wP1Q3pgwHwYDVR0jBBgwFoAUs6vGpbi+XOl1J5yXmAj5wP1Q3pgwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgbptmk80eZqzFIjp8IQpqGrGylO+BJ3IPybrGQ7dCHXkCIQDj
kJs0Oy4jigujLpEeNTKs3pboV84Z0fsdoGrzzUVdWQ==
-----END CERTIFICATE-----`;

export interface OutsideServers extends AsyncDisposable {
  /** How many requests, connections or datagrams arrived since the last `reset()`. */
  readonly hits: number;
  reset(): void;
  readonly httpUrl: string;
  readonly httpsUrl: string;
  readonly http2Url: string;
  readonly tcpPort: number;
  readonly udpPort: number;
  readonly unixPath: string;
}

export async function startOutsideServers(): Promise<OutsideServers> {
  let hits = 0;
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const answer: RequestListener = (request, response) => {
    hits++;
    void text(request).then((body) => response.end(`got ${body}`));
  };
  // Else a kept connection ends after 5 s, which may be the moment in which a test uses it.
  const http = createServer({ keepAliveTimeout: 600_000 }, answer);
  const https = createHttpsServer({ key: KEY, cert: CERTIFICATE, keepAliveTimeout: 600_000 }, answer);
  const http2 = createHttp2Server((_request, response) => {
    hits++;
    response.end("ok");
  });
  http2.on("session", (session) => sessions.add(session));
  const tcp = createTcpServer((socket) => {
    hits++;
    sockets.add(socket);
    socket.on("error", () => undefined).end("ok");
  });
  const unix = createTcpServer((socket) => {
    hits++;
    sockets.add(socket);
    socket.on("error", () => undefined).end("ok");
  });
  const udp = createSocket("udp4");
  udp.on("message", () => hits++);

  const unixPath = join(tmpdir(), `pgsteward-guard-${process.pid}.sock`);
  await Promise.all([...[http, https, http2, tcp].map((server) => listen(server)), listen(unix, unixPath)]);
  await new Promise<void>((resolve) => {
    udp.bind(0, "127.0.0.1", resolve);
  });

  return {
    get hits() {
      return hits;
    },
    reset() {
      hits = 0;
    },
    httpUrl: `http://127.0.0.1:${portOf(http)}`,
    httpsUrl: `https://localhost:${portOf(https)}`,
    http2Url: `http://127.0.0.1:${portOf(http2)}`,
    tcpPort: portOf(tcp),
    udpPort: udp.address().port,
    unixPath,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      for (const session of sessions) session.destroy();
      http.closeAllConnections();
      https.closeAllConnections();
      udp.close();
      await Promise.all(
        [http, https, http2, tcp, unix].map((server) => new Promise((resolve) => server.close(resolve))),
      );
    },
  };
}

export const TEST_CERTIFICATE = CERTIFICATE;

function listen(server: Server, path?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    if (typeof path === "string") server.listen(path, resolve);
    else server.listen(0, "127.0.0.1", resolve);
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
