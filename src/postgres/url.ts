// Database URLs: which kind, which engine they share, and how they may be shown.
import { resolve } from "node:path";
import { InvalidInputError } from "./errors.ts";
import { hostList } from "./hosts.ts";

export type DatabaseAddress =
  | { readonly kind: "server"; readonly key: string; readonly displayUrl: string }
  /** `folder` and `key` are undefined for a memory database. */
  | {
      readonly kind: "pglite";
      readonly key: string | undefined;
      readonly displayUrl: string;
      readonly folder: string | undefined;
    };

/** Those of the driver; `no-verify`: encrypted, and nobody asks by whom. What it does not know it would take for verify-full. */
const SSL_MODES: readonly string[] = ["disable", "no-verify", "prefer", "require", "verify-ca", "verify-full"];
const FORMS = "postgres://user@host:5432/name, pglite: (memory) or pglite:./folder";

/** @throws InvalidInputError; the message never holds the password */
export function parseDatabaseUrl(url: unknown): DatabaseAddress {
  if (typeof url !== "string" || url.trim() === "") {
    throw new InvalidInputError("the database URL is empty", { hint: `write ${FORMS}` });
  }
  if (url.startsWith("pglite:")) {
    const path = url.slice("pglite:".length);
    if (path === "" || path === "memory" || path === "//")
      return { kind: "pglite", key: undefined, displayUrl: "pglite:", folder: undefined };
    const folder = resolve(path);
    return { kind: "pglite", key: `pglite:${folder}`, displayUrl: `pglite:${path}`, folder };
  }
  if (!/^postgres(ql)?:\/\//.test(url)) {
    const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0];
    if (scheme !== undefined && /^postgres(ql)?:$/i.test(scheme)) {
      throw new InvalidInputError(`the database URL does not begin with ${scheme.toLowerCase()}//`, {
        hint: `write ${FORMS}`,
      });
    }
    throw new InvalidInputError(
      scheme === undefined ? "the database URL has no scheme" : `database URLs of the form ${scheme} are not known`,
      {
        hint: `write ${FORMS}`,
      },
    );
  }
  let parsed: URL;
  const hosts = hostList(url);
  try {
    if (hosts !== undefined) for (const each of hosts.urls) void new URL(each);
    // The list of hosts is no URL for the URL class: one host stands for all while the rest is masked.
    parsed = new URL(hosts?.urls[0] ?? url);
  } catch {
    throw new InvalidInputError("the database URL cannot be read", {
      hint: `write ${FORMS}; the port is a number up to 65535; characters like @ : / # in the password must be percent-encoded`,
    });
  }
  const mode = parsed.searchParams.get("sslmode");
  if (mode !== null && !SSL_MODES.includes(mode)) {
    throw new InvalidInputError(`sslmode=${mode} in the database URL is not known`, {
      hint: `known are ${SSL_MODES.join(", ")}`,
    });
  }
  const authority = hosts === undefined ? undefined : hosts.urls.map((each) => new URL(each).host).join(",");
  const shown = withoutPassword(parsed);
  return {
    kind: "server",
    key: url,
    displayUrl: authority === undefined ? shown : shown.replace(parsed.host, authority),
  };
}

function withoutPassword(url: URL): string {
  const shown = new URL(url);
  if (shown.password !== "") shown.password = "***";
  for (const name of new URLSearchParams(shown.search).keys()) {
    if (/password|sslkey|secret|token/i.test(name)) shown.searchParams.set(name, "***");
  }
  return shown.toString();
}
