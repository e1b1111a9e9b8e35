/**
 * Policy of one connection that is passed on: it is judged before it is, and told of until its end.
 *
 *   begin ─▶ judged ─┬─ denied ─▶ ended, with UAEX or RL
 *                     ├─ the mixer has to be asked ─▶ waiting ─▶ judged
 *                     └─ admitted ─▶ "open" … "continue" … "close"
 */
import { type Failure, Failures } from "../../core/failure.ts";
import type { TcpSocket } from "../../io/socket.ts";
import { Timer } from "../../io/timer-wheel.ts";
import type { FailPolicy } from "../../model/handler.ts";
import { StatusCode } from "../../policy/status-code.ts";
import { connectionFacts } from "../policy/connection-facts.ts";
import { denialOf, type Refusal, statusText } from "../policy/denial.ts";
import { RelayedFacts } from "../policy/exchange-facts.ts";
import type { MixerAnswer, MixerAsker, MixerCall } from "../policy/mixer-seat.ts";
import type { RelayPolicy } from "../policy/relay-policy.ts";
import type { RelayEnvironment } from "./relay-environment.ts";
import type { RelayFacts } from "./relay-record.ts";

/** Istio's clients wait so long for a mixer. */
const ANSWER_MS = 5_000;

export interface WatchedRelay extends RelayFacts {
  readonly socket: TcpSocket<unknown> | undefined;
  admitted(): void;
  denied(failure: Failure): void;
}

export interface Watcher {
  readonly env: RelayEnvironment;
  /** Undefined: no rule concerns connections any more. */
  readonly policy: RelayPolicy | undefined;
}

export class RelayWatch extends Timer implements MixerAsker {
  readonly #relay: WatchedRelay;
  readonly #watcher: Watcher;
  readonly #facts = new RelayedFacts();
  #call: MixerCall | undefined = undefined;
  #failPolicy: FailPolicy = "closed";

  /** `number`: of the connection, among those of this proxy. */
  constructor(relay: WatchedRelay, watcher: Watcher, number: number) {
    super();
    this.#relay = relay;
    this.#watcher = watcher;
    const facts = this.#facts;
    const { target, cluster } = relay;
    facts.connection = connectionFacts(relay.socket!, target);
    facts.service = cluster.serviceName;
    facts.port = target.destination?.port ?? cluster.settings.port;
    facts.startWallMs = relay.startWallMs;
    facts.wallMs = relay.startWallMs;
    facts.id = `${watcher.policy?.nodeId ?? ""}-${number}`;
    facts.serverName = target.serverName;
  }

  /** Admits or denies the relay, now or later. */
  begin(): void {
    const { policy, env } = this.#watcher;
    if (policy?.checks !== true) return this.#admit();
    if (policy.leavesToCallee && this.#relay.cluster.serviceName.namespace !== "")
      return this.#admit();
    const verdict = policy.judge(this.#facts, env.wallMs);
    if (verdict.code !== StatusCode.ok) return this.#deny(verdict);
    this.#facts.checkCode = StatusCode.ok;
    if (!verdict.needsMixer) return this.#admit();
    this.#failPolicy = verdict.mixerFailPolicy;
    const answer = policy.ask(this.#facts, this);
    if (answer === undefined) return this.#goWithout();
    this.#facts.checkCacheHit = answer.at === "answered";
    if (answer.at === "answered") return this.#take(answer);
    this.#call = answer;
    env.timers.armAt(this, env.nowMs + ANSWER_MS);
  }

  /** It goes on. */
  continued(): void {
    this.#tell("continue");
  }

  closed(): void {
    this.#call?.cancel();
    this.#end();
    const { env } = this.#watcher;
    const facts = this.#facts;
    facts.isOver = true;
    facts.durationMs = env.nowMs - this.#relay.startMs;
    facts.failure = this.#relay.failure;
    this.#tell("close");
  }

  mixerAnswered(answer: MixerAnswer): void {
    this.#end();
    this.#take(answer);
  }

  mixerFailed(): void {
    this.#end();
    this.#goWithout();
  }

  override expire(): void {
    this.#call?.cancel();
    this.#end();
    this.#goWithout();
  }

  #end(): void {
    const { env } = this.#watcher;
    env.tick();
    env.timers.release(this);
    this.#call = undefined;
  }

  #take(answer: MixerAnswer): void {
    if (answer.code === StatusCode.ok) this.#admit();
    else this.#deny(answer);
  }

  #goWithout(): void {
    if (this.#failPolicy === "open") this.#admit();
    else this.#relay.denied(Failures.policyUnanswered);
  }

  #admit(): void {
    this.#tell("open");
    this.#relay.admitted();
  }

  #deny(refusal: Refusal): void {
    this.#facts.checkCode = refusal.code;
    this.#facts.checkMessage = statusText(refusal.code, refusal.message);
    this.#relay.denied(denialOf(refusal).failure);
  }

  #tell(event: RelayedFacts["event"]): void {
    const { policy, env } = this.#watcher;
    if (policy?.reports !== true) return;
    const facts = this.#facts;
    const { bytesReceived, bytesSent, endpoint } = this.#relay;
    facts.event = event;
    facts.wallMs = env.wallMs;
    facts.endpoint = endpoint;
    facts.received = bytesReceived - facts.receivedTotal;
    facts.receivedTotal = bytesReceived;
    facts.sent = bytesSent - facts.sentTotal;
    facts.sentTotal = bytesSent;
    policy.tell(facts);
  }
}
