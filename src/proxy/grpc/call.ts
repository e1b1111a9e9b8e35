/** What an exchange that is a call of gRPC knows besides; reused from call to call. */
import type { MessageHead } from "../../http/message-head.ts";
import { CallKind, callKindOf } from "./media-type.ts";
import { DEADLINE_EXCEEDED, NO_STATUS, statusOf } from "./status.ts";
import { answerKind, type WebBridge } from "./web-bridge.ts";

export class Call {
  kind: CallKind = CallKind.grpc;
  /** gRPC-Web: the form of the answer; else `kind`. */
  answer: CallKind = CallKind.grpc;
  /** "/package.Service/Method" is bytes[pathStart, pathEnd) of the request's head. */
  pathStart = 0;
  pathEnd = 0;
  /** The caller's grpc-timeout in milliseconds, with a fraction; 0: none. */
  timeoutMs = 0;
  /** It is the caller's own deadline that ends the call, not the route's. */
  endsByCaller = false;
  /** Sum of RetryOn; those of codes count. */
  retryOn = 0;
  /** What the caller was told, or is to be. */
  status = NO_STATUS;
  /** With the status, where rules read it; "": none. */
  message = "";
  /** The response that was passed on is gRPC: it may end with trailers. */
  answered = false;
  /** The upstream gave the status, not we. */
  upstreamSaid = false;
  /** The caller speaks gRPC-Web and the upstream does not need to. */
  web: WebBridge | undefined = undefined;

  begin(kind: CallKind, head: MessageHead): this {
    this.kind = kind;
    this.answer = kind === CallKind.grpc ? kind : answerKind(kind, head);
    this.pathStart = head.pathStart;
    this.pathEnd = head.pathEnd;
    this.timeoutMs = 0;
    this.endsByCaller = false;
    this.retryOn = 0;
    this.status = NO_STATUS;
    this.message = "";
    this.answered = false;
    this.upstreamSaid = false;
    this.web = undefined;
    return this;
  }

  /** The final head of a response. */
  takeHead(head: MessageHead): void {
    this.answered = callKindOf(head) === CallKind.grpc;
    this.takeStatus(this.answered ? statusOf(head) : NO_STATUS);
  }

  takeStatus(status: number): void {
    this.status = status;
    this.upstreamSaid = status !== NO_STATUS;
  }

  takeMessage(message: string): void {
    this.message = message;
  }

  /** We end the call ourselves. */
  takeReply(status: number): void {
    this.status = status;
    this.upstreamSaid = false;
  }

  /** False: the upstream says that the time is over which the caller gave, and cannot help it. */
  get endedInTime(): boolean {
    return this.status !== DEADLINE_EXCEEDED || !this.endsByCaller;
  }

  /** gRPC answers, and how the call went is yet to come with the trailers. */
  get awaitsStatus(): boolean {
    return this.answered && this.status === NO_STATUS;
  }

  /** Messages and status are seen: not those of gRPC-Web that passes as it is. */
  get isSeen(): boolean {
    return this.kind === CallKind.grpc || this.web !== undefined;
  }
}
