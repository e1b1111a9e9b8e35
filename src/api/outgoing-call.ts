/** A call of a GrpcClient, from its making to its one answer. */
import { Timer } from "../io/timer-wheel.ts";
import { CallStatus } from "./call-fault.ts";
import { PREFIX_BYTES, unframe } from "./grpc-text.ts";

/** What came back. */
export type CallAnswer =
  | {
      readonly ok: true;
      readonly message: Uint8Array;
      header(name: string): string | undefined;
    }
  | {
      readonly ok: false;
      /** gRPC's. */
      readonly code: number;
      readonly reason: string;
      /** The server was not reached, or did not answer in time: it has judged nothing. */
      readonly isLost: boolean;
      /** It may have reached the server. */
      readonly isSent: boolean;
    };

export interface CallOptions {
  readonly timeoutMs: number;
  /** HTTP/1.1 lines, each with its CRLF. */
  readonly headers: string;
  /** Once, and never before `call` has returned. */
  readonly onAnswer: (answer: CallAnswer) => void;
}

/** What a call needs of its client. */
export interface CallOwner {
  readonly answerBytesMax: number;
  over(call: OutgoingCall): void;
  /** It was not answered within its limit. */
  late(call: OutgoingCall): void;
}

/** A call from its making to its answer. */
export class OutgoingCall extends Timer {
  readonly path: Uint8Array;
  readonly framed: Uint8Array;
  readonly headers: string;
  sentAtMs = 0;
  /** The connection that it was sent on. */
  carrier: object | undefined;
  /** Ends the stream, once there is one. */
  release: (() => void) | undefined;
  readonly #owner: CallOwner;
  readonly #onAnswer: CallOptions["onAnswer"];
  readonly #timeoutMs: number;
  #isOver = false;

  constructor(
    owner: CallOwner,
    parts: {
      readonly path: Uint8Array;
      readonly framed: Uint8Array;
      readonly options: CallOptions;
    },
  ) {
    super();
    this.#owner = owner;
    this.path = parts.path;
    this.framed = parts.framed;
    this.headers = parts.options.headers;
    this.#onAnswer = parts.options.onAnswer;
    this.#timeoutMs = parts.options.timeoutMs;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get answerBytesMax(): number {
    return this.#owner.answerBytesMax + PREFIX_BYTES;
  }

  cancel(): void {
    this.#end();
  }

  override expire(): void {
    const ms = this.#timeoutMs;
    this.#owner.late(this);
    this.#fail(CallStatus.deadlineExceeded, `no answer within ${ms} ms`, true);
  }

  lose(reason: string): void {
    this.#fail(CallStatus.unavailable, reason, true);
  }

  refused(code: number, reason: string): void {
    this.#fail(code, reason, false);
  }

  /** The body of a call that ended with status 0. */
  answered(body: Uint8Array, header: (name: string) => string | undefined): void {
    const part = unframe(body);
    if (!part.ok) return this.#fail(CallStatus.internal, `the answer is ${part.why}`, true);
    if (this.#end()) this.#onAnswer({ ok: true, message: part.message, header });
  }

  #fail(code: number, reason: string, isLost: boolean): void {
    if (this.#end())
      this.#onAnswer({ ok: false, code, reason, isLost, isSent: this.sentAtMs !== 0 });
  }

  /** False: it was over. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#owner.over(this);
    this.release?.();
    return true;
  }
}
