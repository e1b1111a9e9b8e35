/**
 * What a certificate allows beside its identity: it is written down with the credential that it
 * goes back to, and goes along at every renewal. Certificates themselves say nothing of it.
 */
import { encodeTokenLabels, TOKEN_LABELS_MAX } from "../../api/discovery/token-labels.ts";
import { WorkloadMode as Mode } from "../../api/gen/mesh/v1/identity_pb.ts";

/** "gateway": a gateway, or a sidecar. */
export type WorkloadMode = "sidecar" | "gateway";
export type Labels = Readonly<Record<string, string>>;

export interface Grant {
  readonly mode: WorkloadMode;
  /** These and no others; none: whichever the workload says. */
  readonly labels: Labels;
}

/** What who has no more to show may be. */
export const SIDECAR: Grant = { mode: "sidecar", labels: {} };

/** For whoever is refused to be one. */
export const GATEWAYS_NEED =
  "a gateway joins by a token of `mesh ctl token create --mode gateway`, or as an account that " +
  "`mesh manager --gateway-account` names";

const LABEL = /^[-A-Za-z0-9_./]*$/;
const LABELS_MAX = 64;
const TEXT_MAX = 253;

/** What is wrong with labels to be bound, as a sentence; undefined: nothing. As a registry's. */
export function labelProblem(labels: Labels): string | undefined {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX) return `labels: at most ${LABELS_MAX}`;
  for (const [key, value] of entries) {
    const isShort = key !== "" && key.length <= TEXT_MAX && value.length <= TEXT_MAX;
    if (!isShort || !LABEL.test(key) || !LABEL.test(value))
      return (
        `labels: ${JSON.stringify(`${key}=${value}`.slice(0, 80))} is too long, or has ` +
        "characters other than letters, digits and -_./"
      );
  }
  const length = encodeTokenLabels(labels).length;
  return length > TOKEN_LABELS_MAX ? "labels: too long, all of them together" : undefined;
}

export function modeOf(mode: Mode): WorkloadMode | undefined {
  switch (mode) {
    case Mode.SIDECAR:
      return "sidecar";
    case Mode.GATEWAY:
      return "gateway";
    default:
      // Of a later version, too: it is not granted.
      return undefined;
  }
}

export function modeMessage(mode: WorkloadMode): Mode {
  return mode === "gateway" ? Mode.GATEWAY : Mode.SIDECAR;
}

/** "version=v1, app=reviews", by rising key. */
export function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.sort().join(", ");
}

/** As kept in a column: equal labels are equal texts. */
export function encodeLabels(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The opposite, of what `encodeLabels` wrote. */
export function decodeLabels(column: string): Labels {
  return Object.fromEntries(JSON.parse(column) as [string, string][]);
}

/** Of a column, which nobody else writes. */
export function decodeMode(column: string): WorkloadMode {
  return column === "gateway" ? "gateway" : "sidecar";
}
