/** A service in the list: who stands for it, how it does, which versions get the traffic. */
import { type Child, chips, element, type Position, percent, placeOf, span } from "./element.ts";

export interface Instance {
  readonly workload?: string;
  readonly address?: string;
  readonly port?: number;
  readonly labels?: Record<string, string>;
  readonly healthy?: boolean;
  readonly leaseRemainingMs?: number;
}

export interface Signals {
  readonly requestsPerSecond: number;
  readonly successPercent: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface ServiceSignals extends Signals {
  readonly versions: Record<string, Signals>;
  readonly callers: Record<string, number>;
}

export interface Service {
  readonly host: string;
  readonly registry?: string;
  readonly address?: string;
  readonly ports?: readonly { number: number; protocol: string }[];
  readonly instances?: readonly Instance[];
  readonly source?: Position;
  readonly signals?: ServiceSignals;
}

/** A line of a table, and what it unfolds to. */
export interface Row {
  readonly key: string;
  readonly cells: readonly Child[];
  readonly detail?: () => HTMLElement;
}

export function serviceRow({ host, ports = [], instances = [], ...rest }: Service): Row {
  const { signals, registry = "", source } = rest;
  const healthy = instances.filter((one) => one.healthy === true).length;
  const kind = healthy === 0 ? "bad" : healthy < instances.length ? "warn" : "good";
  const from = source?.file === undefined ? registry : placeOf(source);
  return {
    key: `service/${host}`,
    cells: [
      span("name", host),
      ports.map(({ number, protocol }) => `${number}/${protocol.toLowerCase()}`).join(", "),
      span(kind, `${healthy} of ${instances.length} healthy`),
      signals === undefined ? span("faint", "–") : signals.requestsPerSecond.toFixed(1),
      signals === undefined ? span("faint", "–") : percent(signals.successPercent),
      signals === undefined ? span("faint", "–") : `${signals.p50Ms} ms`,
      signals === undefined ? span("faint", "–") : `${signals.p99Ms} ms`,
      span("faint", from),
    ],
    detail: () =>
      element(
        "div",
        {},
        instances.length === 0
          ? span("bad", "Nobody stands for this service: calls are answered 503 (UH).")
          : element("ul", { class: "plain" }, ...instances.map(instanceItem)),
        ...(signals === undefined ? [] : signalLists(signals)),
      ),
  };
}

/** How the traffic of the last seconds was split, and who sent it. */
function signalLists({ versions, callers, requestsPerSecond }: ServiceSignals): HTMLElement[] {
  const share = (rate: number): string =>
    requestsPerSecond === 0 ? "" : ` (${Math.round((100 * rate) / requestsPerSecond)} %)`;
  const rows = Object.entries(versions).sort(([a], [b]) => a.localeCompare(b));
  return [
    element(
      "ul",
      { class: "plain" },
      ...rows.map(([version, { requestsPerSecond: rate, successPercent, p50Ms, p99Ms }]) =>
        element(
          "li",
          {},
          span("chip", `version=${version}`),
          ` ${rate.toFixed(1)} requests/s${share(rate)}, `,
          percent(successPercent),
          span("faint", `, p50 ${p50Ms} ms, p99 ${p99Ms} ms`),
        ),
      ),
    ),
    element(
      "p",
      { class: "faint" },
      "called by ",
      Object.entries(callers)
        .map(([caller, rate]) => `${caller} ${rate.toFixed(1)}/s`)
        .join(", "),
    ),
  ];
}

function instanceItem(one: Instance): HTMLElement {
  const { workload = "", address = "", port = 0, labels = {}, leaseRemainingMs = 0 } = one;
  const lease = leaseRemainingMs > 0 ? `lease ${Math.ceil(leaseRemainingMs / 1000)} s` : "";
  return element(
    "li",
    {},
    one.healthy === true ? span("badge good", "healthy") : span("badge bad", "unhealthy"),
    " ",
    span("mono", `${address}:${port}`),
    " ",
    span("faint", workload),
    " ",
    ...chips(labels),
    span("faint", lease),
  );
}
