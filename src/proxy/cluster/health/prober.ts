/** Whoever asks one endpoint once: the seam between the judgement of health and the network. */
import type { Probe, ProbeOutcome } from "./health-check.ts";

export interface ProbeTarget {
  readonly address: string;
  readonly port: number;
}

export interface Prober {
  /**
   * Calls back once, and not before it has returned; the time limit is the caller's. The returned
   * function gives the question up: nothing is called after it.
   */
  start(target: ProbeTarget, probe: Probe, onOutcome: (outcome: ProbeOutcome) => void): () => void;
}
