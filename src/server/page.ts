// The first page: what is in the database and what to do next. Plain HTML, no script, nothing from elsewhere.

export interface FirstPage {
  readonly version: string;
  readonly databaseUrl: string;
  readonly serverVersion: string;
  readonly tables: readonly {
    readonly name: string;
    readonly rows: number;
    readonly isExact: boolean;
    readonly totalBytes: number;
  }[];
  readonly findings: readonly {
    readonly severity: string;
    readonly rule: string;
    readonly subject: string;
    readonly message: string;
  }[];
  /** What the check looked at, e.g. "17 rules over 5 tables". */
  readonly examined: string;
  readonly nextSteps: readonly { readonly command: string; readonly what: string }[];
}

/** Escapes text for HTML content and quoted attributes. */
export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** Allowed as the page's only style by its hash; no other style, script, font or image is. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: .9em ui-monospace, monospace; }
.note { opacity: .75; }
`;

export function renderPage(page: FirstPage): string {
  const tables = page.tables.map(
    (table) =>
      `<tr><td><code>${escapeHtml(table.name)}</code></td><td class="number">${table.isExact ? "" : "about "}${table.rows}</td><td class="number">${Math.ceil(table.totalBytes / 1024)} kB</td></tr>`,
  );
  const findings = page.findings.map(
    (finding) =>
      `<tr><td>${escapeHtml(finding.severity)}</td><td><code>${escapeHtml(finding.subject)}</code></td><td>${escapeHtml(finding.message)}<br><span class="note">${escapeHtml(finding.rule)}</span></td></tr>`,
  );
  const steps = page.nextSteps.map(
    (step) => `<li><code>${escapeHtml(step.command)}</code><br>${escapeHtml(step.what)}</li>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pgsteward</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<h1>pgsteward ${escapeHtml(page.version)}</h1>
<p>PostgreSQL ${escapeHtml(page.serverVersion)} at <code>${escapeHtml(page.databaseUrl)}</code></p>
<h2>Tables</h2>
<table>
<thead><tr><th>table</th><th class="number">rows</th><th class="number">size</th></tr></thead>
<tbody>
${tables.join("\n")}
</tbody>
</table>
<h2>Findings</h2>
<p>Examined: ${escapeHtml(page.examined)}.</p>
${findings.length === 0 ? "<p>Nothing was found.</p>" : `<table>\n<thead><tr><th>severity</th><th>about</th><th>what</th></tr></thead>\n<tbody>\n${findings.join("\n")}\n</tbody>\n</table>`}
<h2>Next steps</h2>
<ul>
${steps.join("\n")}
</ul>
<p class="note"><a href="/health">/health</a> answers machines.</p>
</body>
</html>
`;
}
