/**
 * The dashboard, in the browser. It reads /api/v1, and again on each event; everything shown is
 * set as text, never as markup. Loading, empty and away are three different things: while the
 * manager is away the last state stays, and says how old it is.
 */
import { ago, chips, element, type Position, placeOf, span } from "./element.ts";
import { drawGraph } from "./graph.ts";
import { type Row, type Service, serviceRow } from "./service-row.ts";

interface Proxy {
  readonly nodeId: string;
  readonly service?: string;
  readonly sync?: string;
  readonly sentVersion?: string;
  readonly activeVersion?: string;
  readonly problems?: readonly string[];
  readonly connectedMs?: string;
  readonly acknowledgedMs?: string;
  readonly adminAddress?: string;
  readonly meshVersion?: string;
  readonly labels?: Record<string, string>;
}

interface Rule {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly text?: string;
  readonly source?: Position;
  readonly revision?: string;
  readonly updatedMs?: string;
  readonly author?: string;
}

interface Entry {
  readonly revision?: string;
  readonly timeMs?: string;
  readonly author?: string;
  readonly change?: string;
  readonly object?: Rule;
}

interface Problem {
  readonly severity: string;
  readonly position: Position;
  readonly path: string;
  readonly message: string;
  readonly suggestion?: string;
  readonly excerpt?: string;
}

interface Shown {
  readonly services: readonly Service[];
  readonly proxies: readonly Proxy[];
  readonly rules: readonly Rule[];
  readonly problems: readonly Problem[];
  readonly version: string;
  readonly revision: number;
}

type View = "services" | "graph" | "proxies" | "rules" | "problems";

const views: readonly View[] = ["services", "graph", "proxies", "rules", "problems"];
const main = byId("main");
const state = byId("state");
const filter = byId("filter") as HTMLInputElement;
const opened = new Set<string>();
const histories = new Map<string, readonly Entry[] | "loading" | "failed">();
const page = { shown: undefined as Shown | undefined, awaySince: 0, reading: false, again: false };

function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

async function read(): Promise<void> {
  if (page.reading) {
    page.again = true;
    return;
  }
  page.reading = true;
  try {
    const response = await fetch("/api/v1/state", { cache: "no-store" });
    if (!response.ok) throw new Error(`the manager answered ${response.status}`);
    page.shown = (await response.json()) as Shown;
    page.awaySince = 0;
  } catch {
    page.awaySince ||= Date.now();
  }
  page.reading = false;
  draw();
  if (page.again) {
    page.again = false;
    void read();
  }
}

function currentView(): View {
  const named = location.hash.slice(1).split("?")[0];
  return views.find((view) => view === named) ?? "services";
}

function draw(): void {
  const { shown, awaySince } = page;
  const view = currentView();
  for (const name of views) {
    const link = byId(`to-${name}`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    const count = shown === undefined || name === "graph" ? "" : ` ${shown[name].length}`;
    link.replaceChildren(title(name), span("count", count));
  }
  if (awaySince > 0) {
    state.dataset.is = "away";
    const seconds = Math.round((Date.now() - awaySince) / 1000);
    const what = shown === undefined ? "" : "; this is the last known state, and traffic goes on";
    state.textContent = `manager away for ${seconds} s${what}`;
  } else {
    state.dataset.is = shown === undefined ? "loading" : "live";
    state.textContent =
      shown === undefined ? "loading" : `live, revision ${shown.revision}, mesh ${shown.version}`;
  }
  if (shown === undefined) {
    const text = awaySince > 0 ? "The manager does not answer. Trying again." : "Loading…";
    main.replaceChildren(element("p", { class: awaySince > 0 ? "note bad" : "note" }, text));
    return;
  }
  main.replaceChildren(drawView(view, shown));
}

function title(view: View): string {
  return view.slice(0, 1).toUpperCase() + view.slice(1);
}

function drawView(view: View, shown: Shown): HTMLElement {
  switch (view) {
    case "services":
      return table(
        view,
        shown.services,
        serviceRow,
        "mesh proxy --service web.default --app-port 8000",
      );
    case "graph":
      return drawGraph(shown.services);
    case "proxies":
      return table(
        view,
        shown.proxies,
        proxyRow,
        "mesh proxy --service web.default --app-port 8000",
      );
    case "rules":
      return table(view, shown.rules, ruleRow, "mesh ctl apply -f rules.yaml");
    case "problems":
      return table(view, shown.problems, problemRow, "");
  }
}

const headings: Record<Exclude<View, "graph">, readonly string[]> = {
  services: ["Service", "Ports", "Instances", "Requests/s", "Success", "p50", "p99", "From"],
  proxies: ["Proxy", "Service", "Configuration", "Version", "Connected", "Admin"],
  rules: ["Rule", "Kind", "Source", "Revision", "Changed", "By"],
  problems: ["Where", "What"],
};

function table<T>(
  view: Exclude<View, "graph">,
  things: readonly T[],
  rowOf: (thing: T) => Row,
  hint: string,
): HTMLElement {
  if (things.length === 0) {
    const none = view === "problems" ? "No problems." : `No ${view} yet.`;
    const how = hint === "" ? undefined : element("p", {}, "Try ", element("code", {}, hint));
    return element("div", { class: "note" }, none, how);
  }
  const wanted = filter.value.toLowerCase();
  const body = element("tbody", {});
  for (const thing of things)
    if (JSON.stringify(thing).toLowerCase().includes(wanted)) body.append(...rowsOf(rowOf(thing)));
  if (body.childElementCount === 0)
    return element("p", { class: "note" }, `None of ${things.length} matches the filter.`);
  const head = element("tr", {}, ...headings[view].map((text) => element("th", {}, text)));
  return element(
    "div",
    { class: "scroll" },
    element("table", {}, element("thead", {}, head), body),
  );
}

function rowsOf({ key, cells, detail }: Row): HTMLElement[] {
  const isOpen = opened.has(key);
  const row = element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
  if (detail === undefined) return [row];
  const label = isOpen ? "less" : "more";
  const fold = element(
    "button",
    { class: "fold", type: "button", "aria-expanded": String(isOpen), "aria-label": label },
    isOpen ? "▾" : "▸",
  );
  fold.addEventListener("click", () => {
    if (!opened.delete(key)) opened.add(key);
    draw();
  });
  row.firstElementChild?.prepend(fold);
  if (!isOpen) return [row];
  const colspan = String(cells.length);
  return [row, element("tr", { class: "detail" }, element("td", { colspan }, detail()))];
}

const syncs: Record<string, readonly [kind: string, text: string]> = {
  SYNC_SYNCED: ["badge good", "synced"],
  SYNC_STALE: ["badge warn", "sent, not yet acknowledged"],
  SYNC_REJECTED: ["badge bad", "rejected"],
};

function proxyRow(proxy: Proxy): Row {
  const { nodeId, service = "", problems = [], labels = {}, adminAddress = "" } = proxy;
  const [kind, text] = syncs[proxy.sync ?? ""] ?? ["badge", "not sent"];
  const { sentVersion = "", activeVersion = "" } = proxy;
  const version =
    sentVersion === activeVersion ? activeVersion : `${activeVersion} → ${sentVersion}`;
  return {
    key: `proxy/${nodeId}`,
    cells: [
      span("name", nodeId),
      service,
      span(kind, text),
      span("mono", version),
      span("faint", ago(proxy.connectedMs)),
      span("mono", adminAddress),
    ],
    detail: () =>
      element(
        "div",
        {},
        ...chips(labels),
        span("faint", `mesh ${proxy.meshVersion ?? ""}, answered ${ago(proxy.acknowledgedMs)}`),
        ...problems.map((problem) => element("pre", { class: "bad" }, problem)),
        element("p", {}, element("code", {}, `mesh ctl config ${nodeId}`)),
      ),
  };
}

function ruleRow(rule: Rule): Row {
  const { kind, namespace = "", name, source, revision, author = "" } = rule;
  const key = `${kind}/${namespace}/${name}`;
  return {
    key: `rule/${key}`,
    cells: [
      span("name", `${namespace}/${name}`),
      kind,
      span("mono", placeOf(source)),
      revision === undefined || revision === "0" ? span("faint", "file") : revision,
      span("faint", ago(rule.updatedMs)),
      author,
    ],
    detail: () =>
      element("div", {}, element("pre", {}, rule.text ?? ""), historyOf(key, revision ?? "0")),
  };
}

/** Read when it is first looked at, and again when the rule has changed. */
function historyOf(key: string, revision: string): HTMLElement {
  if (revision === "0") return span("faint", "Kept in a file, which has its own history.");
  const cacheKey = `${key}@${revision}`;
  const known = histories.get(cacheKey);
  if (known === undefined) {
    histories.set(cacheKey, "loading");
    void readHistory(key, cacheKey);
  }
  if (known === undefined || known === "loading") return span("faint", "Loading the history…");
  if (known === "failed") return span("bad", "The history could not be read.");
  const items = known.map(({ revision: at = "0", change = "", author = "", timeMs, object }) =>
    element(
      "li",
      {},
      element(
        "details",
        {},
        element(
          "summary",
          {},
          `revision ${at} ${change.replace("CHANGE_", "").toLowerCase()} `,
          span("faint", `${ago(timeMs)}${author === "" ? "" : ` by ${author}`}`),
        ),
        element("pre", {}, object?.text ?? ""),
      ),
    ),
  );
  return element("ul", { class: "plain" }, ...items);
}

async function readHistory(key: string, cacheKey: string): Promise<void> {
  try {
    const path = key.split("/").map(encodeURIComponent).join("/");
    const response = await fetch(`/api/v1/rules/${path}/history`);
    if (!response.ok) throw new Error(`the manager answered ${response.status}`);
    histories.set(cacheKey, ((await response.json()) as { entries: Entry[] }).entries);
  } catch {
    histories.set(cacheKey, "failed");
  }
  draw();
}

function problemRow({ severity, position, path, message, ...rest }: Problem): Row {
  const { suggestion, excerpt } = rest;
  const caret = " ".repeat(Math.max(0, (position.column ?? 1) - 1));
  return {
    key: `problem/${placeOf(position)}/${path}/${message}`,
    cells: [
      span("mono", placeOf(position)),
      element(
        "div",
        {},
        span(severity === "error" ? "badge bad" : "badge warn", severity),
        ` ${path === "" ? "" : `${path}: `}${message}`,
        suggestion === undefined ? undefined : span("faint", ` (${suggestion})`),
        excerpt === undefined ? undefined : element("pre", {}, `${excerpt}\n${caret}^`),
      ),
    ],
  };
}

const events = new EventSource("/api/v1/events");
events.addEventListener("open", () => void read());
events.addEventListener("change", () => void read());
events.addEventListener("error", () => {
  page.awaySince ||= Date.now();
  draw();
  // A browser gives up for good where the answer was not a stream.
  if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5_000);
});
addEventListener("hashchange", draw);
filter.addEventListener("input", draw);
setInterval(draw, 5_000);
draw();
void read();
