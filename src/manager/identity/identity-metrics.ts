/** Figures about certificates: what was issued and refused, and how long everything lasts. */
import type { Counter, Gauge, MetricScope } from "../../telemetry/metrics.ts";
import type { Identity } from "./identity.ts";
import type { Issuance } from "./issuance.ts";
import { certificatesOf } from "./trusted-roots.ts";

type Outcome = keyof Issuance["counts"];

/** Returns what brings them up to date. */
export function identityMetrics(metrics: MetricScope, identity: Identity): () => void {
  const { counts } = identity.issuance;
  const help = "Requests for certificates, by what became of them.";
  const byOutcome = (Object.keys(counts) as Outcome[]).map((outcome): [Outcome, Counter] => [
    outcome,
    metrics.counter("mesh_manager_certificate_requests_total", help, { outcome }),
  ]);
  const gauge = (name: string, about: string): Gauge =>
    metrics.gauge(`mesh_manager_${name}`, about);
  const roots = gauge("trusted_roots", "Roots that everybody trusts: more than one in a rotation.");
  const rootExpiry = gauge(
    "root_expiry_seconds",
    "Until the root expires that signs now; of an authority in files, the first that expires.",
  );
  return () => {
    for (const [outcome, counter] of byOutcome) counter.add(counts[outcome] - counter.value);
    const { authority, options } = identity;
    roots.set(authority.roots.length);
    const [active] = authority.rows;
    const all = certificatesOf(active === undefined ? "" : active.roots + active.certificate);
    const firstMs = Math.min(...all.map(({ validToDate }) => validToDate.getTime()));
    rootExpiry.set(Math.round((firstMs - options.clock.wallMs()) / 1_000));
  };
}
