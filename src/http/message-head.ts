/**
 * What a scan found in the head of one message: numbers and offsets, never strings or copies.
 *
 * One object is made per worker and direction and reused for every message: what it says is valid
 * until the next scan into it. Offsets index `bytes`, the array that was scanned. A range is
 * [start, end); one that is absent has start -1 and end -1. Line i of the fields begins at
 * `nameStart[i]` and ends where line i + 1 begins; the empty line is at `nameStart[fieldCount]`.
 */
import type { Failure } from "../core/failure.ts";
import { type FieldId, fieldIdCount } from "./field-id.ts";
import { MethodId } from "./method.ts";

export interface HeadLimits {
  /** Octets of a request line or status line, without its CRLF. */
  readonly startLineBytesMax: number;
  /** Octets of the whole head. */
  readonly headBytesMax: number;
  readonly fieldsMax: number;
  /** Empty lines tolerated before a request line (RFC 9112 2.2). */
  readonly emptyLinesMax: number;
}

export const defaultHeadLimits: HeadLimits = {
  startLineBytesMax: 8192,
  headBytesMax: 60 * 1024,
  fieldsMax: 100,
  emptyLinesMax: 4,
};

/** How the end of the content is found (RFC 9112 6.3). */
export const Framing = {
  none: 0,
  /** `contentLength` octets follow. */
  length: 1,
  chunked: 2,
  /** A response that ends with its connection. */
  untilClose: 3,
  /** After 101, or 2xx to CONNECT: bytes both ways, no messages any more. */
  tunnel: 4,
  /** HTTP/2: the content ends with its stream, after any number of octets. */
  stream: 5,
} as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

/** RFC 9112 3.2. */
export const TargetForm = { origin: 0, absolute: 1, authority: 2, asterisk: 3 } as const;
export type TargetForm = (typeof TargetForm)[keyof typeof TargetForm];

export class MessageHead {
  readonly limits: HeadLimits;

  /** Why the last scan returned a negative number. */
  failure: Failure | undefined = undefined;
  /** What exactly was wrong, in constant words for the log: "bare LF". */
  detail = "";
  /** The peer speaks HTTP/2 with prior knowledge; reported together with a failure. */
  http2Preface = false;
  /** The first line is of no version of HTTP; reported together with a failure. */
  isForeign = false;

  bytes: Uint8Array = new Uint8Array(0);
  /** Where the start line begins, past tolerated empty lines. */
  start = 0;
  /** Past the empty line that ends the head. */
  end = 0;
  /** 0 or 1; a higher minor version is handled as 1 (RFC 9110 2.5). */
  minorVersion = 1;

  /** Requests: the method is [start, methodEnd). */
  method: MethodId = MethodId.other;
  methodEnd = 0;
  form: TargetForm = TargetForm.origin;
  targetStart = 0;
  targetEnd = 0;
  /** Without the query. Empty for an absolute target without a path, "*" for the asterisk form. */
  pathStart = 0;
  pathEnd = 0;
  /** Without the "?". */
  queryStart = -1;
  queryEnd = -1;
  /** Host and port that the request is for: of the target if it has them, else of Host. */
  authorityStart = -1;
  authorityEnd = -1;
  /** The host alone, brackets of an IP literal included. */
  hostEnd = -1;
  /** The port that the authority names; 0 if none. */
  port = 0;
  /** An absolute target with the scheme https. HTTP/2 says it of the stream instead. */
  schemeIsHttps = false;
  /** Expect: 100-continue from an HTTP/1.1 client. */
  expectsContinue = false;
  /** A GET whose Connection and Upgrade ask for the protocol websocket, and for nothing else. */
  upgradesToWebsocket = false;

  /** Responses. */
  status = 0;
  reasonStart = 0;
  reasonEnd = 0;
  /** Set by the caller before each scan of a response: the method that it answers. */
  requestMethod: MethodId = MethodId.other;
  /** Set by the caller before each scan of a response: whether we forwarded an Upgrade. */
  upgradeWasSent = false;

  framing: Framing = Framing.none;
  /** For Framing.length; also what a bodiless response to HEAD or a 304 announces; else 0. */
  contentLength = 0;
  /** Whether the sender lets the connection live on after this message. */
  keepsAlive = true;
  /** TE: trailers, with its Connection option. */
  acceptsTrailers = false;
  /** Connection names fields that are not hop-by-hop by themselves. */
  connectionNamesFields = false;

  fieldCount = 0;
  readonly fieldId: Uint8Array;
  readonly nameStart: Int32Array;
  readonly nameEnd: Int32Array;
  readonly valueStart: Int32Array;
  readonly valueEnd: Int32Array;
  /**
   * 1 where the field is not to be forwarded. The scan sets it for hop-by-hop fields, for those
   * that Connection names, and for those that the message may not carry; the data plane may set
   * more.
   */
  readonly dropped: Uint8Array;
  /** FieldId → index of the first field with that name, or -1. */
  readonly firstOf: Int16Array = new Int16Array(fieldIdCount).fill(-1);
  /** Bit i is set where a field with the id i, below 32, came more than once. */
  repeated = 0;

  /**
   * HTTP/2: fields that came before, in the same words: [runFrom, runFrom + runCount) are the first
   * of the run with that id. Holds good for the head that begins at runStart of runBytes alone.
   */
  runId = 0;
  runFrom = 0;
  runCount = 0;
  runBytes: Uint8Array | undefined = undefined;
  runStart = 0;
  /** So is the request line with its Host: one number for the same octets; 0: they are new. */
  lineId = 0;

  constructor(limits: HeadLimits = defaultHeadLimits) {
    this.limits = limits;
    const slots = limits.fieldsMax + 1;
    this.fieldId = new Uint8Array(slots);
    this.nameStart = new Int32Array(slots);
    this.nameEnd = new Int32Array(slots);
    this.valueStart = new Int32Array(slots);
    this.valueEnd = new Int32Array(slots);
    this.dropped = new Uint8Array(slots);
  }

  /** Keeps every field with this id from being forwarded. */
  drop(id: FieldId): void {
    for (let i = this.firstOf[id]!; i !== -1; i = this.nextOf(id, i)) this.dropped[i] = 1;
  }

  /** Whether a field with this id came. */
  has(id: FieldId): boolean {
    return this.firstOf[id] !== -1;
  }

  /** Notes why the head is refused, and returns the negative number that a scan then returns. */
  refuse(failure: Failure, detail: string): number {
    this.failure = failure;
    this.detail = detail;
    return -1;
  }

  /** The index of the next field with this id after `index`, or -1. */
  nextOf(id: FieldId, index: number): number {
    for (let i = index + 1; i < this.fieldCount; i++) if (this.fieldId[i] === id) return i;
    return -1;
  }

  /** The index of the first field at or after `from` with this name, or -1. `name`: lower case. */
  find(name: Uint8Array, from = 0): number {
    for (let i = from; i < this.fieldCount; i++) if (this.#isNamed(i, name)) return i;
    return -1;
  }

  /** A range as text, one character an octet (latin1). Allocates: not for the fast path. */
  text(from: number, to: number): string {
    if (from < 0) return "";
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + from, to - from).toString(
      "latin1",
    );
  }

  /** The value of field i as text. Allocates: not for the fast path. */
  valueText(i: number): string {
    return this.text(this.valueStart[i]!, this.valueEnd[i]!);
  }

  /** The values of all fields with this id, joined by commas. Allocates. */
  valuesText(id: FieldId): string {
    const values: string[] = [];
    for (let i = this.firstOf[id]!; i !== -1; i = this.nextOf(id, i)) {
      values.push(this.valueText(i));
    }
    return values.join(",");
  }

  #isNamed(i: number, name: Uint8Array): boolean {
    let at = this.nameStart[i]!;
    if (this.nameEnd[i]! - at !== name.length) return false;
    for (let k = 0; k < name.length; k++, at++) {
      const octet = this.bytes[at]!;
      const lower = octet >= 65 && octet <= 90 ? octet | 32 : octet;
      if (lower !== name[k]!) return false;
    }
    return true;
  }
}
