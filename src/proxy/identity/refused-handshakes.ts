/**
 * Connections that were refused before anybody used them: counted by reason, and said in the log
 * with what the peer is not told. A reason that repeats is said once in a while, with how often it
 * was, so that nobody fills the log by knocking.
 */
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { TlsFault } from "../../io/tls-fault.ts";
import type { MetricScope } from "../../telemetry/metrics.ts";

export interface RefusedHandshakesParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** As in other metrics of it. */
  readonly listener: string;
  /** Is told of what is said in the log. */
  readonly onRefused?: (client: string, reason: TlsFault, detail: string) => void;
}

/** Of one reason. */
const QUIET_MS = 10_000;
const HELP = "Handshakes with clients that came to nothing.";

export class RefusedHandshakes {
  readonly #parts: RefusedHandshakesParts;
  readonly #said = new Map<TlsFault, { atMs: number; unsaid: number }>();

  constructor(parts: RefusedHandshakesParts) {
    this.#parts = parts;
  }

  /** `detail` is for operators: what the library said, or whose certificate it was. */
  note(client: string, reason: TlsFault, detail: string): void {
    const { clock, log, metrics, listener } = this.#parts;
    const labels = { listener, reason };
    metrics.counter("mesh_tls_handshakes_failed_total", HELP, labels).increment();
    const nowMs = clock.nowMs();
    const said = this.#said.get(reason);
    if (said !== undefined && nowMs < said.atMs + QUIET_MS) {
      said.unsaid++;
      return;
    }
    this.#said.set(reason, { atMs: nowMs, unsaid: 0 });
    this.#parts.onRefused?.(client, reason, detail);
    const more = said === undefined || said.unsaid === 0 ? {} : { alike: said.unsaid };
    log.warn("a connection was refused", { ...labels, detail, client, ...more });
  }
}
