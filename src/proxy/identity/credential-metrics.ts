/** What a scrape learns of this workload's certificate. */
import type { Clock } from "../../core/clock.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { CredentialStatus } from "./workload-credential.ts";

/** `status`: undefined where there is no manager to have one of. */
export function exportCredentialMetrics(
  metrics: Metrics,
  clock: Clock,
  status: () => CredentialStatus | undefined,
): void {
  const held = metrics.gauge("mesh_certificate_held", "1 while there is one that is in force.");
  const expiry = metrics.gauge(
    "mesh_certificate_expiry_seconds",
    "Until the workload's certificate expires; below 0 once it has.",
  );
  const trusted = metrics.gauge(
    "mesh_certificate_trusted",
    "0 while there is one that leads to none of the mesh's roots.",
  );
  const renewals = metrics.counter(
    "mesh_certificate_renewals_total",
    "Certificates that took the place of another one.",
  );
  const failures = metrics.counter(
    "mesh_certificate_requests_failed_total",
    "Questions for a certificate that came to nothing.",
  );
  metrics.beforeScrape(() => {
    const now = status();
    const certificate = now?.certificate;
    const leftMs = certificate === undefined ? 0 : certificate.notAfterMs - clock.wallMs();
    held.set(Number(leftMs > 0));
    trusted.set(Number(now?.trusted ?? true));
    expiry.set(Math.floor(leftMs / 1_000));
    renewals.add((now?.renewals ?? 0) - renewals.value);
    failures.add((now?.failures ?? 0) - failures.value);
  });
}
