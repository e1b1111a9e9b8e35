/**
 * Asks again and again whether the application accepts connections. Often while it does not, so
 * that a starting one is known at once; seldom while it does.
 */
import type { Clock } from "../../core/clock.ts";
import { type ConnectHandlers, TcpConnector } from "../../io/tcp-connector.ts";
import { TimerWheel } from "../../io/timer-wheel.ts";
import type { HostPort } from "../flags.ts";

const UNHEALTHY_INTERVAL_MS = 100;
const HEALTHY_INTERVAL_MS = 1000;
const CONNECT_TIMEOUT_MS = 1000;
/** One refused connection is news; a slow one may be a busy application. */
const TIMEOUTS_MAX = 3;

type Answer = "accepted" | "refused" | "timeout";

export class AppProbe {
  readonly #app: HostPort;
  readonly #connector: TcpConnector<AppProbe>;
  readonly #clock: Clock;
  readonly #onHealth: (healthy: boolean) => void;
  #healthy = false;
  #timeouts = 0;
  #stopped = false;
  #cancel: () => void = () => {};

  /** `onHealth` is called when the answer changes; before the first call it counts as false. */
  constructor(app: HostPort, clock: Clock, onHealth: (healthy: boolean) => void) {
    this.#app = app;
    this.#clock = clock;
    this.#connector = new TcpConnector(handlers, new TimerWheel(clock));
    this.#onHealth = onHealth;
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  start(): void {
    this.#ask();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** The outcome of one question. */
  answered(answer: Answer): void {
    this.#learn(answer);
  }

  #ask(): void {
    this.#connector.connect(this.#app, this, CONNECT_TIMEOUT_MS);
  }

  #learn(answer: Answer): void {
    if (this.#stopped) return;
    this.#timeouts = answer === "timeout" ? this.#timeouts + 1 : 0;
    const patient = this.#healthy && answer === "timeout" && this.#timeouts < TIMEOUTS_MAX;
    const healthy = answer === "accepted" || patient;
    if (healthy !== this.#healthy) {
      this.#healthy = healthy;
      this.#onHealth(healthy);
    }
    const interval = healthy ? HEALTHY_INTERVAL_MS : UNHEALTHY_INTERVAL_MS;
    this.#cancel = this.#clock.after(interval, () => this.#ask());
  }
}

/** A connection that stands is the answer; nothing is said on it. */
const handlers: ConnectHandlers<AppProbe> = {
  open(socket) {
    socket.data.answered("accepted");
    socket.end();
  },
  connectFailed(probe, cause) {
    probe.answered(cause === "timeout" ? "timeout" : "refused");
  },
  data() {},
  drain() {},
  end() {},
  close() {},
};
