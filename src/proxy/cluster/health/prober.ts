/** Whoever asks one endpoint once: the seam between the judgement of health and the network. */
import type { ClientTls } from "../../../io/tls-settings.ts";
import type { Probe, ProbeOutcome } from "./health-check.ts";

export interface ProbeTarget {
  readonly address: string;
  readonly port: number;
  /** Absent: in plaintext. */
  readonly tls?: ClientTls | undefined;
}

/** For a connector: the caller's own limit is shorter. */
export const CONNECT_MS_MAX = 600_000;

export interface Prober {
  /**
   * Calls back once, and not before it has returned; the time limit is the caller's. The returned
   * function gives the question up: nothing is called after it.
   */
  start(target: ProbeTarget, probe: Probe, onOutcome: (outcome: ProbeOutcome) => void): () => void;
}
