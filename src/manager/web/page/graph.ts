/**
 * Who calls whom, drawn from left to right by how far a service is from those that nobody calls.
 * Only calls of the last seconds are drawn: what is not there is not in use now.
 */
import { element } from "./element.ts";
import type { Service } from "./service-row.ts";

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly rate: number;
}

interface Box {
  readonly host: string;
  readonly x: number;
  readonly y: number;
}

/** The busiest; more would be a picture that nobody reads. */
const EDGES_MAX = 200;
const WIDTH = 190;
const HEIGHT = 50;
const GAP_X = 110;
const GAP_Y = 26;
const NAMESPACE = "http://www.w3.org/2000/svg";

export function drawGraph(services: readonly Service[]): HTMLElement {
  const edges = services
    .flatMap(({ host, signals }) =>
      Object.entries(signals?.callers ?? {}).map(([from, rate]) => ({ from, to: host, rate })),
    )
    .sort((a, b) => b.rate - a.rate)
    .slice(0, EDGES_MAX);
  if (edges.length === 0) {
    const text = "No calls in the last seconds. They appear here as soon as there are some.";
    return element("p", { class: "note" }, text);
  }
  const boxes = layout(edges);
  const right = Math.max(...[...boxes.values()].map(({ x }) => x)) + WIDTH + 20;
  const bottom = Math.max(...[...boxes.values()].map(({ y }) => y)) + HEIGHT + 20;
  const drawing = svg("svg", {
    viewBox: `0 0 ${right} ${bottom}`,
    width: String(right),
    height: String(bottom),
    role: "img",
    "aria-label": edges
      .map(({ from, to }) => `${shortName(from)} calls ${shortName(to)}`)
      .join(", "),
  });
  const known = new Map(services.map((service) => [service.host, service]));
  for (const edge of edges) drawing.append(...drawEdge(edge, boxes, known));
  for (const box of boxes.values()) drawing.append(drawBox(box, known.get(box.host)));
  return element("div", { class: "scroll graph" }, drawing);
}

/** A column for each distance from a root; a cycle is entered at its first service by name. */
function layout(edges: readonly Edge[]): ReadonlyMap<string, Box> {
  const hosts = [...new Set(edges.flatMap(({ from, to }) => [from, to]))].sort();
  const depth = new Map<string, number>();
  const visit = (host: string, at: number, path: ReadonlySet<string>): void => {
    if (path.has(host) || (depth.get(host) ?? -1) >= at) return;
    depth.set(host, at);
    for (const { from, to } of edges)
      if (from === host) visit(to, at + 1, new Set([...path, host]));
  };
  const called = new Set(edges.map(({ to }) => to));
  for (const host of hosts) if (!called.has(host)) visit(host, 0, new Set());
  for (const host of hosts) if (!depth.has(host)) visit(host, 0, new Set());
  const rows = new Map<number, number>();
  return new Map(
    hosts.map((host) => {
      const column = depth.get(host) ?? 0;
      const row = rows.get(column) ?? 0;
      rows.set(column, row + 1);
      const [x, y] = [20 + column * (WIDTH + GAP_X), 20 + row * (HEIGHT + GAP_Y)];
      return [host, { host, x, y }] as const;
    }),
  );
}

function drawEdge(
  { from, to, rate }: Edge,
  boxes: ReadonlyMap<string, Box>,
  known: ReadonlyMap<string, Service>,
): Element[] {
  const [a, b] = [boxes.get(from), boxes.get(to)];
  if (a === undefined || b === undefined) return [];
  const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
  const bend = Math.max(40, (x2 - x1) / 2);
  const path = `M ${x1} ${y1} C ${x1 + bend} ${y1}, ${x2 - bend} ${y2}, ${x2} ${y2}`;
  const kind = kindOf(known.get(to)?.signals?.successPercent);
  const label = svg("text", {
    x: String((x1 + x2) / 2),
    y: String((y1 + y2) / 2 - 6),
    class: "rate",
    "text-anchor": "middle",
  });
  label.textContent = `${rate.toFixed(1)}/s`;
  return [svg("path", { d: path, class: `edge ${kind}` }), label];
}

function drawBox({ host, x, y }: Box, service: Service | undefined): Element {
  const signals = service?.signals;
  const group = svg("g", {});
  const title = svg("title", {});
  title.textContent = host;
  const frame = { x: String(x), y: String(y), width: String(WIDTH), height: String(HEIGHT) };
  const name = svg("text", { x: String(x + 12), y: String(y + 21), class: "host" });
  name.textContent = shortName(host);
  const facts = svg("text", { x: String(x + 12), y: String(y + 39), class: "facts" });
  facts.textContent =
    signals === undefined
      ? "calls only"
      : `${signals.successPercent.toFixed(1)} %, p99 ${signals.p99Ms} ms`;
  const kind = kindOf(signals?.successPercent);
  group.append(title, svg("rect", { ...frame, rx: "8", class: `box ${kind}` }), name, facts);
  return group;
}

function kindOf(successPercent: number | undefined): string {
  if (successPercent === undefined) return "";
  return successPercent >= 99.9 ? "good" : successPercent >= 99 ? "warn" : "bad";
}

/** "reviews.default" of a service of the mesh; anything else as it is, if it is not too long. */
function shortName(host: string): string {
  const short = /^(.+)\.svc\.[^/]+$/.exec(host)?.[1] ?? host;
  return short.length > 24 ? `${short.slice(0, 23)}…` : short;
}

function svg(name: string, attributes: Record<string, string>): Element {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
