// A test database with a wire proxy before it: what our code sends can be counted, and broken at a chosen message.
import { openDatabase, type Database, type DatabaseOptions } from "../../src/postgres/index.ts";
import { testDatabase, type TestDatabase } from "./test-database.ts";
import { startWireProxy, type WireProxy, type WireProxyOptions } from "./wire-proxy.ts";

export interface ProxiedDatabase extends AsyncDisposable {
  /** Goes through the proxy. */
  readonly database: Database;
  readonly proxy: WireProxy;
  /** Goes past it. */
  readonly direct: TestDatabase;
}

export interface ProxiedDatabaseOptions extends Omit<DatabaseOptions, "url"> {
  readonly setup?: string;
  readonly delayMs?: WireProxyOptions["delayMs"];
  readonly readyDelayMs?: WireProxyOptions["readyDelayMs"];
}

/** The connection is made and the server known, so that the counts begin at zero for what the test does. */
export async function proxiedDatabase(options: ProxiedDatabaseOptions = {}): Promise<ProxiedDatabase> {
  const { setup, delayMs, readyDelayMs, ...openOptions } = options;
  const direct = await testDatabase(setup === undefined ? {} : { setup });
  const target = new URL(direct.url);
  const proxy = await startWireProxy({
    targetHost: target.hostname,
    targetPort: Number(target.port),
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(readyDelayMs === undefined ? {} : { readyDelayMs }),
  });
  const database = await openDatabase({ ...openOptions, url: proxy.url(direct.url) });
  await database.query("SELECT 1");
  proxy.resetCount();
  return {
    database,
    proxy,
    direct,
    async [Symbol.asyncDispose]() {
      await database.close();
      await proxy.close();
      await direct.close();
    },
  };
}
