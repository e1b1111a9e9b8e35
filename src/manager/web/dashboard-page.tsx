/**
 * The dashboard as documents: a page without anything in it, its style, and its script, each
 * from this origin, so that the page needs no permission for inline code or for other hosts.
 */
/** @jsxImportSource hono/jsx */
// (Said here too, since the compiler's settings are looked for where the process was started.)
import { MESH_VERSION } from "../../core/version.ts";
// @ts-expect-error: its text, as the attribute says; the compiler knows no such module
import style from "./page/dashboard.css" with { type: "text" };
// @ts-expect-error: its text, as the attribute says; the compiler sees a module
import dashboard from "./page/dashboard.ts" with { type: "text" };
// @ts-expect-error: the same
import element from "./page/element.ts" with { type: "text" };
// @ts-expect-error: the same
import graph from "./page/graph.ts" with { type: "text" };
// @ts-expect-error: the same
import login from "./page/login.ts" with { type: "text" };
// @ts-expect-error: the same
import serviceRow from "./page/service-row.ts" with { type: "text" };

const VIEWS = ["services", "graph", "proxies", "rules", "problems"] as const;

export const DASHBOARD_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
    "img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

export const dashboardStyle: string = style;

/** By the path under which a browser asks for it: the modules, with their types taken away. */
export function dashboardScripts(): ReadonlyMap<string, string> {
  const modules: readonly (readonly [path: string, source: string])[] = [
    ["/dashboard.js", dashboard],
    ["/element.js", element],
    ["/graph.js", graph],
    ["/login.js", login],
    ["/service-row.js", serviceRow],
  ];
  const transpiler = new Bun.Transpiler({ loader: "ts", target: "browser" });
  return new Map(
    modules.map(([path, source]) => [
      path,
      transpiler.transformSync(source).replace(/(from\s*"\.\/[-\w]+)\.ts"/g, '$1.js"'),
    ]),
  );
}

export function dashboardPage(): string {
  const page = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Mesh</title>
        <link rel="stylesheet" href={`/dashboard.css?${MESH_VERSION}`} />
        <link rel="icon" href="data:," />
      </head>
      <body>
        <header>
          <h1>Mesh</h1>
          <nav>
            {VIEWS.map((view) => (
              <a href={`#${view}`} id={`to-${view}`}>
                {view}
              </a>
            ))}
          </nav>
          <input id="filter" type="search" placeholder="Filter" aria-label="Filter" />
          <span id="state" data-is="loading" role="status">
            loading
          </span>
        </header>
        <main id="main">
          <noscript>
            <p class="note">The dashboard needs JavaScript; `mesh ctl` does not.</p>
          </noscript>
        </main>
        <script type="module" src={`/dashboard.js?${MESH_VERSION}`} />
      </body>
    </html>
  );
  return `<!doctype html>${page.toString()}`;
}
