// Takes secrets out of what is about to be printed: by the name of a field at any depth, and by the form of a value inside
// any text. pino's own `redact` stops at paths known beforehand and never looks inside a message.

export const REDACTED = "[redacted]";

/** Field names whose value is a secret, compared without case, `_` and `-`. */
const SECRET_NAMES = new Set([
  "password",
  "passwd",
  "pwd",
  "passphrase",
  "pgpassword",
  "secret",
  "clientsecret",
  "token",
  "accesstoken",
  "refreshtoken",
  "idtoken",
  "sessiontoken",
  "authtoken",
  "apikey",
  "xapikey",
  "accesskey",
  "secretkey",
  "privatekey",
  "encryptionkey",
  "authorization",
  "proxyauthorization",
  "cookie",
  "setcookie",
  "credentials",
]);

function isSecretName(name: string): boolean {
  return SECRET_NAMES.has(name.toLowerCase().replaceAll(/[_-]/g, ""));
}

// The password of a URL may itself hold `@` and `/` when its writer forgot to encode it, so it reaches to the last `@` of the
// word; no whitespace or quote can be part of a URL.
const URL_PASSWORD = /\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@"'`<>]*):([^\s"'`<>]*)@/gi;
// `postgres:/bob:secret@host` and `bob:secret@host/app`: what is left of a URL that was mistyped. Only up to the first `/`, as
// paths may hold `@`.
const MISTYPED_URL_PASSWORD =
  /\b((?:[a-z][a-z0-9+.-]*:\/?)[^\s:/@\\"'`<>]+):([^\s/\\"'`<>]+)@(?=[\w.[-])|\b([\w.%+-]+):([^\s:/\\"'`<>]+)@(?=[\w.-]+(?::\d+)?\/)/gi;
const NAMED_SECRET =
  /\b((?:pg)?password|passwd|pwd|passphrase|(?:access_?|refresh_?|auth_?|session_?|id_?)?token|api[_-]?key|(?:client_?)?secret(?:_?key)?|access_?key|private_?key)(["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.|'')*'|[^\s,;&"'})\]]+)/gi;
const AUTHORIZATION = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}/gi;
const JSON_WEB_TOKEN = /\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*/g;
const PROVIDER_KEY = /\b(?:sk|pk|rk|ghp|gho|ghs|xox[abp])[-_][A-Za-z0-9_-]{16,}/g;
const SQL_PASSWORD = /\b((?:encrypted\s+)?password)\s+'(?:[^']|'')*'/gi;

/** The text without the secrets in it: passwords in URLs and connection strings, bearer tokens, keys, SQL `PASSWORD '…'`. */
export function redactText(text: string): string {
  return text
    .replaceAll(URL_PASSWORD, `$1:${REDACTED}@`)
    .replaceAll(MISTYPED_URL_PASSWORD, (_, afterScheme?: string, _password?: string, bare?: string) => {
      return `${afterScheme ?? bare ?? ""}:${REDACTED}@`;
    })
    .replaceAll(SQL_PASSWORD, `$1 '${REDACTED}'`)
    .replaceAll(NAMED_SECRET, `$1$2${REDACTED}`)
    .replaceAll(AUTHORIZATION, `$1 ${REDACTED}`)
    .replaceAll(JSON_WEB_TOKEN, REDACTED)
    .replaceAll(PROVIDER_KEY, REDACTED);
}

/** A copy of JSON-safe data without its secrets. An empty or missing secret stays visible: that it is missing is worth knowing. */
export function redactData(value: unknown): unknown {
  if (typeof value === "string") return redactText(value);
  if (Array.isArray(value)) return value.map(redactData);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      isSecretName(name) && inner !== null && inner !== "" && typeof inner !== "boolean" ? REDACTED : redactData(inner),
    ]),
  );
}
