/** Asks over the network, each kind of question in its own way. */
import type { TimerWheel } from "../../../io/timer-wheel.ts";
import { GrpcProber } from "./grpc-prober.ts";
import type { Probe, ProbeOutcome } from "./health-check.ts";
import type { Prober, ProbeTarget } from "./prober.ts";
import { SocketProber } from "./socket-prober.ts";

export class NetworkProber implements Prober {
  readonly #socket: SocketProber;
  readonly #grpc = new GrpcProber();

  constructor(timers: TimerWheel) {
    this.#socket = new SocketProber(timers);
  }

  start(target: ProbeTarget, probe: Probe, onOutcome: (outcome: ProbeOutcome) => void): () => void {
    return probe.by === "grpc"
      ? this.#grpc.start(target, probe, onOutcome)
      : this.#socket.start(target, probe, onOutcome);
  }
}
