/**
 * What attributes are read from: one request and its response, or one connection that is passed on.
 *
 * While a request is judged the facts point at what is there (its scanned head, its connection);
 * nothing is copied. What is told afterwards is read when the exchange is gone, so then the octets
 * of its heads are here, and are scanned when an attribute is read from them.
 */
import type { Value } from "../../attribute/value.ts";
import type { Failure } from "../../core/failure.ts";
import { Framing, MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { scanResponseHead } from "../../http1/response-head.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { ServiceName } from "../cluster/service-name.ts";
import { hideClientCert } from "../filter/edge-fields.ts";
import type { ConnectionFacts } from "./connection-facts.ts";

/** Of requests and of connections. */
export class CallFacts {
  connection: ConnectionFacts = undefined as never;
  /** Undefined: nobody is known to serve it. */
  service: ServiceName | undefined = undefined;
  /** Who was given it last; undefined: nobody, or not yet. */
  endpoint: Endpoint | undefined = undefined;
  /** That the caller meant; 0: not known. */
  port = 0;
  /** Of a client behind proxies that are believed; undefined: the connection's. */
  originIp: Uint8Array | undefined = undefined;
  /** Since 1970. */
  startWallMs = 0;
  /** It is over, and what follows from here on is known. */
  isOver = false;
  durationMs = 0;
  failure: Failure | undefined = undefined;
  /** Of the check; −1: there was none. */
  checkCode = -1;
  checkMessage = "";
  /** The mixer's part of it was known; undefined: the mixer was not asked. */
  checkCacheHit: boolean | undefined = undefined;
}

const NO_BYTES = new Uint8Array(0);
/** Room for a head that is kept for the next one. */
const KEPT_MAX = 4_096;

export class ExchangeFacts extends CallFacts {
  /** Came with https, as far as is known. */
  secure = false;
  /** At an edge: what is not forwarded was claimed by a stranger. */
  fromEdge = false;
  isGrpc = false;
  /** What specs of APIs say of it; undefined: nobody has asked. */
  api: ReadonlyMap<string, Value> | undefined = undefined;
  status = 0;
  requestBytes = 0;
  responseBytes = 0;
  responseHeadBytes = 0;
  requestHeadBytes = 0;
  /** 0 to 16; −1: nobody said. */
  grpcStatus = -1;
  grpcMessage = "";
  /** As of the check. */
  quotaCacheHit: boolean | undefined = undefined;
  /** Of the heads: octets that are ours; empty: nobody reads them. */
  requestOctets: Uint8Array = NO_BYTES;
  requestOctetCount = 0;
  responseOctets: Uint8Array = NO_BYTES;
  /** Of the head that is read: another one has another. */
  requestNumber = 0;
  #request: MessageHead | undefined = undefined;
  #response: MessageHead | undefined = undefined;
  readonly #scratch: HeadScratch;

  constructor(scratch: HeadScratch) {
    super();
    this.#scratch = scratch;
  }

  /** Its head was just scanned, and stays so while it is asked about. */
  set requestHead(head: MessageHead) {
    this.#request = head;
    this.requestNumber = this.#scratch.nextNumber();
  }

  /** Undefined: it was not kept. */
  get requestHead(): MessageHead | undefined {
    if (this.#request === undefined) {
      this.#request = this.#scratch.requestOf(this.requestOctets, this.requestOctetCount);
      this.requestNumber = this.#scratch.nextNumber();
      // At an edge what was kept is without it, unless it is to be believed.
      if (this.#request !== undefined && !this.fromEdge) hideClientCert(this.#request);
    }
    return this.#request;
  }

  get responseHead(): MessageHead | undefined {
    this.#response ??= this.#scratch.responseOf(this.responseOctets);
    return this.#response;
  }

  /** What was scanned is another one's from now on; usual heads find their room again. */
  forgetHeads(): void {
    this.#request = undefined;
    this.#response = undefined;
    this.requestOctetCount = 0;
    if (this.requestOctets.length > KEPT_MAX) this.requestOctets = NO_BYTES;
    this.responseOctets = NO_BYTES;
  }
}

/** Heads that were kept, scanned again: one at a time. */
export class HeadScratch {
  readonly #request: MessageHead;
  readonly #response: MessageHead;
  #number = 0;

  constructor(limits: MessageHead["limits"]) {
    this.#request = new MessageHead(limits);
    this.#response = new MessageHead(limits);
  }

  /** Never 0, and never one of another head. */
  nextNumber(): number {
    return ++this.#number;
  }

  requestOf(octets: Uint8Array, count: number): MessageHead | undefined {
    if (count === 0) return undefined;
    return scanRequestHead(octets, 0, count, this.#request) > 0 ? this.#request : undefined;
  }

  responseOf(octets: Uint8Array): MessageHead | undefined {
    if (octets.length === 0) return undefined;
    const head = this.#response;
    head.framing = Framing.none;
    return scanResponseHead(octets, 0, octets.length, head) > 0 ? head : undefined;
  }
}

export class RelayedFacts extends CallFacts {
  /** Of this connection: "<node>-17". */
  id = "";
  event: "open" | "continue" | "close" = "open";
  serverName = "";
  /** From the client. */
  received = 0;
  receivedTotal = 0;
  sent = 0;
  sentTotal = 0;
  /** Of what is told. */
  wallMs = 0;
}
