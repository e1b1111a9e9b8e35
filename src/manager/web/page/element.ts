/** Elements, made with text and never with markup, and the words that all views share. */
export interface Position {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

/** Whoever is away is left out. */
export type Child = Node | string | undefined;
export function element(name: string, attributes: Record<string, string>, ...children: Child[]) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

export function span(kind: string, text: string): HTMLElement {
  return element("span", { class: kind }, text);
}

export function chips(labels: Record<string, string>): HTMLElement[] {
  return Object.entries(labels).map(([key, value]) => span("chip", `${key}=${value}`));
}

export function percent(value: number): HTMLElement {
  const kind = value >= 99.9 ? "good" : value >= 99 ? "warn" : "bad";
  return span(kind, `${value.toFixed(value === 100 ? 0 : 2)} %`);
}

/** "rules/canary.yaml:3:7" */
export function placeOf(position: Position | undefined): string {
  const { file = "", line = 0, column = 0 } = position ?? {};
  return line === 0 ? file : `${file}:${line}${column === 0 ? "" : `:${column}`}`;
}

/** Milliseconds since 1970, as text: "3 min ago". */
export function ago(ms: string | undefined): string {
  if (ms === undefined || ms === "0") return "never";
  const seconds = Math.max(0, Math.round((Date.now() - Number(ms)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3_600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}
