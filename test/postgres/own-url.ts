// Tests that want an engine of their own beside that of their test database.

/** The same address under another key, so that the test has an engine of its own. */
export function ownUrl(url: string, name = Math.random().toString(36).slice(2)): string {
  const own = new URL(url);
  own.searchParams.set("fallback_application_name", name);
  return own.href;
}
