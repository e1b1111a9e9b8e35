/**
 * Reads a stream of HTTP/1 messages with the codec as a connection would, in pieces as they come,
 * and says what it saw, for tests, conformance suites and fuzzing.
 *
 * It also writes each message on as a proxy would, and reads chunked bodies both ways that the
 * decoder offers, so that a difference between them shows.
 */
import { assert } from "../core/assert.ts";
import type { Failure } from "../core/failure.ts";
import { defaultHeadLimits, Framing, type HeadLimits, MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { ChunkEvent, ChunkedDecoder } from "../http1/chunked-decoder.ts";
import { HeadBuffer } from "../http1/head-buffer.ts";
import { HeadWriter } from "../http1/head-writer.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { scanResponseHead } from "../http1/response-head.ts";

export interface SeenMessage {
  /** "GET /a" or "200 OK". */
  readonly start: string;
  readonly minorVersion: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly framing: Framing;
  readonly keepsAlive: boolean;
  readonly host: string;
  body: string;
  trailers: string;
  /** What a proxy would send on, framing included. */
  forwarded: string;
}

/** What the octets after the last complete message are. */
export type StreamEnd = "none" | "wait" | "refused" | "closed" | "tunnel" | "untilClose";

export interface StreamOptions {
  readonly response?: boolean;
  /** Responses: the method answered, and whether an upgrade was asked for. */
  readonly requestMethod?: MethodId;
  readonly upgradeWasSent?: boolean;
  readonly limits?: HeadLimits;
}

export class Http1Stream {
  /** Complete messages. */
  readonly messages: SeenMessage[] = [];
  /** The message whose body is still coming, or was refused. */
  partial: SeenMessage | undefined = undefined;
  failure: Failure | undefined = undefined;
  detail = "";
  http2Preface = false;

  readonly #options: StreamOptions;
  readonly #head: MessageHead;
  readonly #buffer: HeadBuffer;
  readonly #decoder = new ChunkedDecoder();
  readonly #relay = new ChunkedDecoder();
  readonly #writer: HeadWriter;
  #state: "head" | "length" | "chunked" | "rest" | "ended" = "head";
  #end: StreamEnd = "none";
  #remaining = 0;
  #keepsAlive = true;

  constructor(options: StreamOptions = {}) {
    const limits = options.limits ?? defaultHeadLimits;
    this.#options = options;
    this.#head = new MessageHead(limits);
    this.#buffer = new HeadBuffer(limits, options.response);
    this.#writer = new HeadWriter(new Uint8Array(limits.headBytesMax + 1024));
  }

  get end(): StreamEnd {
    if (this.#state === "ended") return this.#end;
    if (this.#state === "rest") return this.#end;
    if (this.#state === "head" && this.#buffer.length === 0) return "none";
    return "wait";
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#state !== "ended") at = this.#step(bytes, at);
  }

  #step(bytes: Uint8Array, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(bytes, at);
      case "length":
        return this.#readLength(bytes, at);
      case "chunked":
        return this.#readChunked(bytes, at);
      case "rest":
        if (this.partial !== undefined) this.partial.body += latin1(bytes, at, bytes.length);
        return bytes.length;
      case "ended":
        return bytes.length;
    }
  }

  #readHead(bytes: Uint8Array, at: number): number {
    if (this.#buffer.length === 0) {
      const end = this.#scan(bytes, at, bytes.length);
      if (end < 0) return this.#refuse(this.#head.failure, this.#head.detail);
      if (end > 0) return this.#begin(end);
    }
    const taken = this.#buffer.push(bytes, at, bytes.length);
    if (taken < 0) return this.#refuse(this.#buffer.failure, this.#buffer.detail);
    if (!this.#buffer.complete) return taken;
    const end = this.#scan(this.#buffer.bytes, 0, this.#buffer.length);
    if (end < 0) return this.#refuse(this.#head.failure, this.#head.detail);
    assert(end === this.#buffer.length, "buffer and scan agree where the head ends");
    this.#begin(end);
    this.#buffer.clear();
    return taken;
  }

  #scan(bytes: Uint8Array, from: number, to: number): number {
    const head = this.#head;
    if (this.#options.response !== true) return scanRequestHead(bytes, from, to, head);
    head.requestMethod = this.#options.requestMethod ?? MethodId.get;
    head.upgradeWasSent = this.#options.upgradeWasSent ?? false;
    return scanResponseHead(bytes, from, to, head);
  }

  #begin(end: number): number {
    const head = this.#head;
    this.#keepsAlive = head.keepsAlive;
    this.partial = { ...this.#describe(head), forwarded: this.#write(head) };
    switch (head.framing) {
      case Framing.none:
        this.#complete();
        break;
      case Framing.length:
        this.#remaining = head.contentLength;
        this.#state = "length";
        if (this.#remaining === 0) this.#complete();
        break;
      case Framing.chunked:
        this.#decoder.reset(this.#options.response);
        this.#relay.reset(this.#options.response);
        this.#state = "chunked";
        break;
      case Framing.untilClose:
        this.#state = "rest";
        this.#end = "untilClose";
        break;
      case Framing.tunnel:
        this.#complete();
        this.#finish("tunnel");
    }
    return end;
  }

  #describe(head: MessageHead): SeenMessage {
    const fields = Array.from({ length: head.fieldCount }, (_, i) => {
      return [head.text(head.nameStart[i]!, head.nameEnd[i]!), head.valueText(i)] as const;
    });
    const start =
      this.#options.response === true
        ? [`${head.status}`, head.text(head.reasonStart, head.reasonEnd)]
        : [head.text(head.start, head.methodEnd), head.text(head.targetStart, head.targetEnd)];
    return {
      start: start.join(" "),
      minorVersion: head.minorVersion,
      fields,
      framing: head.framing,
      keepsAlive: head.keepsAlive,
      host: head.text(head.authorityStart, head.authorityEnd),
      body: "",
      trailers: "",
      forwarded: "",
    };
  }

  #write(head: MessageHead): string {
    const writer = this.#writer;
    writer.begin(0);
    if (this.#options.response === true) writer.response(head);
    else writer.request(head);
    writer.fields(head);
    if (head.status === 101) writer.upgrade();
    const end = writer.end();
    assert(end > 0, "the head fits");
    return latin1(writer.out, 0, end);
  }

  #readLength(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.#remaining);
    this.#remaining -= end - at;
    const text = latin1(bytes, at, end);
    this.partial!.body += text;
    this.partial!.forwarded += text;
    if (this.#remaining === 0) this.#complete();
    return end;
  }

  #readChunked(bytes: Uint8Array, from: number): number {
    const message = this.partial!;
    const decoder = this.#decoder;
    let at = from;
    do {
      at = decoder.next(bytes, at, bytes.length);
      if (decoder.event === ChunkEvent.data) {
        message.body += latin1(bytes, decoder.dataStart, decoder.dataEnd);
      }
    } while (decoder.event === ChunkEvent.data);
    const relayed = this.#relayChunked(bytes, from);
    assert(this.#relay.event === decoder.event, "next and relay see the same events");
    if (decoder.event === ChunkEvent.failed) return this.#refuse(decoder.failure, decoder.detail);
    assert(relayed === at, "next and relay see the same end");
    if (decoder.event === ChunkEvent.end) {
      message.trailers = latin1(decoder.trailers, 0, decoder.trailersLength);
      message.forwarded += `${message.trailers}\r\n`;
      this.#complete();
    }
    return at;
  }

  #relayChunked(bytes: Uint8Array, from: number): number {
    const relay = this.#relay;
    let at = from;
    do {
      at = relay.relay(bytes, at, bytes.length);
      if (relay.event === ChunkEvent.data) {
        this.partial!.forwarded += latin1(bytes, relay.dataStart, relay.dataEnd);
      }
    } while (relay.event === ChunkEvent.data);
    return at;
  }

  #complete(): void {
    this.messages.push(this.partial!);
    const interim = this.#options.response === true && this.#head.status < 200;
    const tunnel = this.#head.upgradesToWebsocket || this.#head.method === MethodId.connect;
    this.partial = undefined;
    this.#state = "head";
    if (this.#options.response !== true && tunnel) this.#finish("tunnel");
    else if (!this.#keepsAlive && !interim) this.#finish("closed");
  }

  #finish(end: StreamEnd): void {
    this.#state = "ended";
    this.#end = end;
  }

  #refuse(failure: Failure | undefined, detail: string): number {
    this.failure = failure;
    this.detail = detail;
    this.http2Preface = this.#head.http2Preface;
    assert(failure !== undefined, "a refusal has a failure");
    this.#finish("refused");
    return 0;
  }
}

/** Octets as text, one character each. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}

/** Text as octets, one each. */
export function octets(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/** Reads pieces to their end. */
export function readStream(pieces: Iterable<Uint8Array>, options: StreamOptions = {}): Http1Stream {
  const stream = new Http1Stream(options);
  for (const piece of pieces) stream.push(piece);
  return stream;
}

/** What was seen, as one comparable text. */
export function summary(stream: Http1Stream): string {
  return JSON.stringify([stream.messages, stream.end, stream.failure?.reason ?? ""]);
}

/**
 * Whether the same octets in other pieces were read alike. A head that is refused may be refused
 * for another of its faults when it comes in pieces, and one that never becomes complete may still
 * be waited for.
 */
export function isReadAlike(whole: Http1Stream, pieces: Http1Stream): boolean {
  if (summary(whole) === summary(pieces)) return true;
  return (
    whole.end === "refused" &&
    whole.partial === undefined &&
    (pieces.end === "wait" || pieces.end === "refused") &&
    pieces.partial === undefined &&
    JSON.stringify(whole.messages) === JSON.stringify(pieces.messages)
  );
}
