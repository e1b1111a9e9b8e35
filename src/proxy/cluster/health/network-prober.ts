/** Asks over the network, each kind of question in its own way. */
import type { TimerWheel } from "../../../io/timer-wheel.ts";
import type { Probe, ProbeOutcome } from "./health-check.ts";
import type { Prober, ProbeTarget } from "./prober.ts";
import { SocketProber } from "./socket-prober.ts";

export class NetworkProber implements Prober {
  readonly #socket: SocketProber;

  constructor(timers: TimerWheel) {
    this.#socket = new SocketProber(timers);
  }

  start(target: ProbeTarget, probe: Probe, onOutcome: (outcome: ProbeOutcome) => void): () => void {
    return probe.by === "grpc"
      ? startGrpc(target, probe, onOutcome)
      : this.#socket.start(target, probe, onOutcome);
  }
}

/** Few ask by gRPC, and its client is large: it is loaded by the first who does. */
function startGrpc(
  target: ProbeTarget,
  probe: Extract<Probe, { by: "grpc" }>,
  onOutcome: (outcome: ProbeOutcome) => void,
): () => void {
  let over = false;
  let cancel = (): void => {
    over = true;
  };
  void import("./grpc-prober.ts").then(({ GrpcProber }) => {
    if (!over) cancel = new GrpcProber().start(target, probe, onOutcome);
  });
  return () => cancel();
}
