// The HTTP server.
export { startServer, type RunningServer, type ServerOptions } from "./app.ts";
export { escapeHtml, renderPage, type FirstPage } from "./page.ts";
