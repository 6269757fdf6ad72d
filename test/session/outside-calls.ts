// Every way out of the process, as a call to the servers of outside-servers.ts.
import childProcess from "node:child_process";
import dgram from "node:dgram";
import dns from "node:dns";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { expect } from "vitest";
import * as undici from "undici";
import { TEST_CERTIFICATE, type OutsideServers } from "./outside-servers.ts";

/** What is called, and what was opened to it before the guard stood. */
export interface Outside extends OutsideServers {
  readonly keepAlive: http.Agent;
  readonly http2Session: http2.ClientHttp2Session;
}

interface OutsideCall {
  readonly make: (to: Outside) => Promise<unknown>;
  /** What an error says was called. */
  readonly named: (to: Outside) => string;
}

export function httpGet(url: string, options: http.RequestOptions & https.RequestOptions = {}): Promise<string> {
  const get = url.startsWith("https:") ? https.get : http.get;
  return new Promise((resolve, reject) => {
    get(url, { ca: TEST_CERTIFICATE, ...options }, (response) => resolve(text(response))).on("error", reject);
  });
}

export function receive(socket: net.Socket): Promise<string> {
  return text(socket);
}

export async function http2Request(session: http2.ClientHttp2Session): Promise<string> {
  const stream = session.request({ ":path": "/secret-path" });
  return text(stream);
}

async function sendDatagram(to: Outside): Promise<string> {
  const before = to.hits;
  const socket = dgram.createSocket("udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.send("hello", to.udpPort, "127.0.0.1", (error) => (error === null ? resolve() : reject(error)));
    });
    await expect.poll(() => to.hits).toBeGreaterThan(before);
    return "sent";
  } finally {
    socket.close();
  }
}

async function runProgram(to: Outside, start: () => childProcess.ChildProcess): Promise<string> {
  const program = start();
  const [code] = (await once(program, "exit")) as [number];
  to.reset();
  return `exit ${code}`;
}

const node = process.execPath;
const script = ["-e", "process.exitCode = 0"];

/** By their names. */
export const OUTSIDE_CALLS: Record<string, OutsideCall> = {
  "global fetch": {
    make: async (to) =>
      (await fetch(`${to.httpUrl}/secret-path?token=secret`, { method: "POST", body: "secret" })).text(),
    named: (to) => `POST ${to.httpUrl}`,
  },
  "undici.request": {
    make: async (to) => (await undici.request(`${to.httpUrl}/secret-path`)).body.text(),
    named: (to) => `GET ${to.httpUrl}`,
  },
  "undici.fetch": {
    make: async (to) => (await undici.fetch(`${to.httpUrl}/secret-path`)).text(),
    named: (to) => `GET ${to.httpUrl}`,
  },
  "http.get": { make: (to) => httpGet(`${to.httpUrl}/secret-path`), named: (to) => `GET ${to.httpUrl}` },
  "http.get with a keep-alive agent": {
    make: (to) => httpGet(`${to.httpUrl}/secret-path`, { agent: to.keepAlive }),
    named: (to) => `GET ${to.httpUrl}`,
  },
  "http.get without agent": {
    make: (to) => httpGet(`${to.httpUrl}/secret-path`, { agent: false }),
    named: (to) => `GET ${to.httpUrl}`,
  },
  "http.request with a body": {
    make: (to) =>
      new Promise((resolve, reject) => {
        const request = http.request(`${to.httpUrl}/secret-path`, { method: "POST", agent: to.keepAlive });
        request.on("response", (response) => resolve(text(response))).on("error", reject);
        request.write("secret");
        request.end("body");
      }),
    named: (to) => `POST ${to.httpUrl}`,
  },
  "https.get": { make: (to) => httpGet(`${to.httpsUrl}/secret-path`), named: (to) => `GET ${to.httpsUrl}` },
  "http2 on an open session": { make: (to) => http2Request(to.http2Session), named: (to) => `GET ${to.http2Url}` },
  "http2.connect": {
    make: async (to) => {
      const session = http2.connect(to.http2Url);
      try {
        await once(session, "connect");
        return await http2Request(session);
      } finally {
        session.destroy();
      }
    },
    named: (to) => `a connection to ${to.http2Url.replace("http://", "")}`,
  },
  "net.connect(port, host)": {
    make: (to) => receive(net.connect(to.tcpPort, "127.0.0.1")),
    named: (to) => `a connection to 127.0.0.1:${to.tcpPort}`,
  },
  "new net.Socket().connect(options)": {
    make: (to) => receive(new net.Socket().connect({ port: to.tcpPort, host: "127.0.0.1" })),
    named: (to) => `a connection to 127.0.0.1:${to.tcpPort}`,
  },
  "net.connect to a Unix socket": {
    make: (to) => receive(net.connect(to.unixPath)),
    named: (to) => `a connection to Unix socket ${to.unixPath}`,
  },
  "tls.connect": {
    make: async (to) => {
      const port = Number(new URL(to.httpsUrl).port);
      const socket = tls.connect({ port, host: "localhost", ca: TEST_CERTIFICATE });
      await once(socket, "secureConnect");
      socket.end("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      return receive(socket);
    },
    named: (to) => `a connection to localhost:${new URL(to.httpsUrl).port}`,
  },
  "dns.lookup": { make: () => promisify(dns.lookup)("localhost"), named: () => "a name lookup of localhost" },
  "dns.promises.lookup": {
    make: () => dns.promises.lookup("localhost"),
    named: () => "a name lookup of localhost",
  },
  "dgram send": { make: sendDatagram, named: (to) => `a datagram to 127.0.0.1:${to.udpPort}` },
  "child_process.spawn": {
    make: (to) => runProgram(to, () => childProcess.spawn(node, script, { stdio: "ignore" })),
    named: () => "child process node",
  },
  "child_process.execFile": {
    make: (to) => runProgram(to, () => childProcess.execFile(node, script)),
    named: () => "child process node",
  },
  "promisified exec": {
    make: async () => promisify(childProcess.exec)("exit 0 # secret"),
    named: () => "child process sh",
  },
  "child_process.spawnSync": {
    make: async () => childProcess.spawnSync(node, script).status,
    named: () => "child process node",
  },
  "child_process.spawnSync in a shell": {
    make: async () => childProcess.spawnSync("TOKEN=secret exit 0", { shell: true }).status,
    named: () => "child process (a shell)",
  },
  "child_process.execSync": {
    make: async () => childProcess.execSync("exit 0 # secret").length,
    named: () => "child process (a shell)",
  },
  "child_process.execFileSync": {
    make: async () => childProcess.execFileSync(node, script).length,
    named: () => "child process node",
  },
};
