/**
 * Asks the servers of one service over gRPC, on one connection to each. A call that never reached
 * its server goes to another one, within the same limit; so does, once, one that was lost with a
 * connection that had been good until then.
 */
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { CallStatus } from "../../api/call-fault.ts";
import { GrpcClient } from "../../api/grpc-client.ts";
import type { CallAnswer } from "../../api/outgoing-call.ts";
import type { AccessParts } from "./access-step.ts";
import type { AskedServer, AskedService } from "./asked-service.ts";

export interface GrpcAskerOptions {
  readonly service: AskedService;
  /** Of a question, with all that it waits for. */
  readonly timeoutMs: number;
}

export interface GrpcQuestion {
  readonly method: DescMethodUnary;
  /** The message behind its prefix (grpc-text.ts). */
  readonly framed: Uint8Array;
  /** HTTP/1.1 lines, each with its CRLF. */
  readonly headers: string;
  /** Once, and never before `ask` has returned. */
  readonly onAnswer: (answer: CallAnswer) => void;
}

const CALLS_MAX = 1_000;
const ANSWER_BYTES_MAX = 256 * 1024;
const TRIES_MAX = 3;
/** At most eight digits (PROTOCOL-HTTP2.md, Timeout). */
const TIMEOUT_MS_MAX = 99_999_999;

/** Of gRPC, as far as they tell of a server that is not well. */
const statuses: Readonly<Record<number, number>> = {
  [CallStatus.unavailable]: 503,
  [CallStatus.internal]: 500,
  [CallStatus.unknown]: 500,
};

export class GrpcAsker {
  readonly #name: string;
  readonly #options: GrpcAskerOptions;
  readonly #parts: AccessParts;
  readonly #clients = new Map<AskedServer, GrpcClient>();
  /** They have answered: a connection that is lost may have been closed meanwhile. */
  readonly #proven = new WeakSet<AskedServer>();
  #isClosed = false;

  /** `name`: of the service, for the log. */
  constructor(name: string, options: GrpcAskerOptions, parts: AccessParts) {
    this.#name = name;
    this.#options = options;
    this.#parts = parts;
  }

  /** Returns what ends it unanswered. */
  ask(question: GrpcQuestion): () => void {
    const call = new Asking(question, this.#parts.clock.nowMs() + this.#options.timeoutMs);
    this.#send(call);
    return () => call.cancel();
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#isClosed = true;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #send(asking: Asking): void {
    const { service, timeoutMs } = this.#options;
    const server = service.pick(asking.tried);
    if (this.#isClosed) return failSoon(asking, "it is asked no more");
    if ("why" in server) return failSoon(asking, asking.why || server.why);
    if (asking.tried.includes(server)) return failSoon(asking, asking.why);
    const { clock } = this.#parts;
    const sinceMs = clock.nowMs();
    const leftMs = asking.tried.length === 0 ? timeoutMs : Math.ceil(asking.untilMs - sinceMs);
    if (leftMs <= 0) return failSoon(asking, asking.why);
    const { method, framed, headers } = asking.question;
    service.begin(server);
    const cancel = this.#clientOf(server).call(method, framed, {
      timeoutMs: leftMs,
      headers: `grpc-timeout: ${Math.min(leftMs, TIMEOUT_MS_MAX)}m\r\n${headers}`,
      onAnswer: (answer) => {
        service.end(server);
        asking.cancelCall = undefined;
        this.#answered(asking, server, { answer, ms: clock.nowMs() - sinceMs });
      },
    });
    asking.cancelCall = () => {
      service.end(server);
      cancel();
    };
  }

  #answered(
    asking: Asking,
    server: AskedServer,
    { answer, ms }: { readonly answer: CallAnswer; readonly ms: number },
  ): void {
    const { service } = this.#options;
    if (answer.ok || !answer.isLost) {
      this.#proven.add(server);
      service.answered(server, answer.ok ? 200 : (statuses[answer.code] ?? 200), ms);
      return asking.end(answer);
    }
    const isLate = answer.code === CallStatus.deadlineExceeded;
    service.failed(server, isLate);
    const mayRepeat = !answer.isSent || (this.#proven.has(server) && !asking.isRepeated);
    asking.tried = [...asking.tried, server];
    if (isLate || !mayRepeat || asking.tried.length >= TRIES_MAX) return asking.end(answer);
    asking.isRepeated ||= answer.isSent;
    asking.why = answer.reason;
    this.#send(asking);
  }

  #clientOf(server: AskedServer): GrpcClient {
    const known = this.#clients.get(server);
    if (known !== undefined) return known;
    this.#forgetOthers();
    const { clock, random, log } = this.#parts;
    const { service, timeoutMs } = this.#options;
    const { hostname, port, tls } = server;
    const client = new GrpcClient({
      ...{ hostname, port, clock, random, connectMs: service.connectMs(timeoutMs) },
      ...(tls && { tls }),
      authority: service.authority,
      ...{ callsMax: CALLS_MAX, answerBytesMax: ANSWER_BYTES_MAX },
      onState: (state, reason) => {
        if (state === "lost")
          log.warn("the authorizer is away", { authorizer: this.#name, reason });
      },
    });
    this.#clients.set(server, client);
    return client;
  }

  /** Those that are asked no more; their calls are still answered. */
  #forgetOthers(): void {
    const { service, timeoutMs } = this.#options;
    for (const [server, client] of this.#clients) {
      if (service.isCurrent(server)) continue;
      this.#clients.delete(server);
      client.closeAfter(timeoutMs);
    }
  }
}

/** A question under way. */
class Asking {
  readonly question: GrpcQuestion;
  /** Of Clock.nowMs(). */
  readonly untilMs: number;
  /** A server that had it was lost. */
  isRepeated = false;
  /** Where calls came to nothing, and why the last one did. */
  tried: readonly AskedServer[] = [];
  why = "";
  cancelCall: (() => void) | undefined = undefined;
  #isOver = false;

  constructor(question: GrpcQuestion, untilMs: number) {
    this.question = question;
    this.untilMs = untilMs;
  }

  cancel(): void {
    this.#isOver = true;
    this.cancelCall?.();
    this.cancelCall = undefined;
  }

  end(answer: CallAnswer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.question.onAnswer(answer);
  }
}

/** Not in the call that asks. */
function failSoon(asking: Asking, reason: string): void {
  const code = CallStatus.unavailable;
  queueMicrotask(() => asking.end({ ok: false, code, reason, isLost: true, isSent: false }));
}
