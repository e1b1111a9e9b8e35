/** Asks over the network, each kind of question in its own way. */
import type { TimerWheel } from "../../../io/timer-wheel.ts";
import type { Probe, ProbeOutcome } from "./health-check.ts";
import type { Prober, ProbeTarget } from "./prober.ts";
import { SocketProber } from "./socket-prober.ts";

export class NetworkProber implements Prober {
  readonly #socket: SocketProber;
  readonly #timers: TimerWheel;
  #grpc: Promise<Prober> | undefined;

  constructor(timers: TimerWheel) {
    this.#socket = new SocketProber(timers);
    this.#timers = timers;
  }

  start(target: ProbeTarget, probe: Probe, onOutcome: (outcome: ProbeOutcome) => void): () => void {
    if (probe.by !== "grpc") return this.#socket.start(target, probe, onOutcome);
    let over = false;
    let cancel = (): void => {
      over = true;
    };
    this.#grpc ??= loadGrpc(this.#timers);
    void this.#grpc.then((prober) => {
      if (!over) cancel = prober.start(target, probe, onOutcome);
    });
    return () => cancel();
  }
}

/** Few ask by gRPC, and its client is large: it is loaded by the first who does. */
async function loadGrpc(timers: TimerWheel): Promise<Prober> {
  const { GrpcProber } = await import("./grpc-prober.ts");
  return new GrpcProber(timers);
}
