/**
 * What a peer can do wrong with HTTP/2, as constant rows: whose failure it is in either role, the
 * error code, how far it reaches, and in constant words what it was.
 */
import { type Failure, type FailureName, Failures } from "../core/failure.ts";
import { ErrorCode } from "./error-code.ts";

/**
 * stream: the stream is reset, the connection lives. reply: a request that we answer with the
 * status of its failure. connection: GOAWAY.
 */
export type Scope = "stream" | "reply" | "connection";

export interface Fault {
  readonly scope: Scope;
  /** Where the peer is a downstream. */
  readonly failure: Failure;
  /** Where it is an upstream. */
  readonly upstream: Failure;
  readonly code: ErrorCode;
  readonly detail: string;
}

type Row = readonly [failure: FailureName, code: keyof typeof ErrorCode, detail: string];

function table<N extends string>(
  scope: Scope,
  upstream: FailureName,
  rows: Readonly<Record<N, Row>>,
): Readonly<Record<N, Fault>> {
  const made = Object.entries<Row>(rows).map(([name, [failure, code, detail]]) => [
    name,
    Object.freeze({
      scope,
      failure: Failures[failure],
      upstream: Failures[upstream],
      code: ErrorCode[code],
      detail,
    }),
  ]);
  return Object.fromEntries(made);
}

/** RFC 9113 8.1.1: the message is malformed. */
// biome-ignore format: a table reads as a table
export const Malformed = table("stream", "upstreamBadResponse", {
  name:          ["http2Malformed", "protocolError", "octet not allowed in a field name"],
  value:         ["http2Malformed", "protocolError", "octet not allowed in a field value"],
  pseudoUnknown: ["http2Malformed", "protocolError", "pseudo-field that may not be there"],
  pseudoOrder:   ["http2Malformed", "protocolError", "pseudo-field after a field"],
  pseudoTwice:   ["http2Malformed", "protocolError", "pseudo-field more than once"],
  pseudoMissing: ["http2Malformed", "protocolError", "pseudo-field missing"],
  connection:    ["http2Malformed", "protocolError", "field of a connection"],
  te:            ["http2Malformed", "protocolError", "TE other than trailers"],
  method:        ["http2Malformed", "protocolError", ":method is not a token"],
  scheme:        ["http2Malformed", "protocolError", ":scheme"],
  path:          ["http2Malformed", "protocolError", ":path"],
  authority:     ["http2Malformed", "protocolError", "authority is not a host and port"],
  hostTwice:     ["http2Malformed", "protocolError", "more than one Host"],
  hostDiffers:   ["http2Malformed", "protocolError", "Host and :authority differ"],
  connect:       ["http2Malformed", "protocolError", "CONNECT needs host and port alone"],
  protocol:      ["http2Malformed", "protocolError", ":protocol without CONNECT"],
  contentLength: ["http2Malformed", "protocolError", "Content-Length is not one number"],
  length:        ["http2Malformed", "protocolError", "Content-Length is not that of the content"],
  content:       ["http2Malformed", "protocolError", "content where there can be none"],
  status:        ["http2Malformed", "protocolError", ":status"],
  headAgain:     ["http2Malformed", "protocolError", "fields in the middle of a message"],
  interimEnds:   ["http2Malformed", "protocolError", "interim response ends the stream"],
  selfDependent: ["http2Malformed", "protocolError", "stream depends on itself"],
  dataFirst:     ["http2Malformed", "protocolError", "content before its head"],
});

/** Sound, and not for us: answered with a status; from an upstream a bad response. */
// biome-ignore format: a table reads as a table
export const Unserved = table("reply", "upstreamBadResponse", {
  tooManyFields: ["headTooLarge",        "protocolError", "too many fields"],
  tooLarge:      ["headTooLarge",        "protocolError", "head too long"],
  targetTooLong: ["targetTooLong",       "protocolError", "request line too long"],
  scheme:        ["badTarget",           "protocolError", "scheme other than http and https"],
  expectation:   ["unknownExpectation",  "protocolError", "not 100-continue"],
  protocol:      ["unsupportedProtocol", "protocolError", ":protocol other than websocket"],
});

/** Against the rules of streams and frames; the rest of the connection is sound. */
// biome-ignore format: a table reads as a table
export const StreamFault = table("stream", "upstreamBadResponse", {
  closed:        ["http2Protocol",    "streamClosed",     "frame on a stream that was ended"],
  windowZero:    ["http2Protocol",    "protocolError",    "WINDOW_UPDATE of 0"],
  windowTooWide: ["http2FlowControl", "flowControlError", "window above 2^31-1"],
  windowOverrun: ["http2FlowControl", "flowControlError", "more content than the window"],
  prioritySize:  ["http2Protocol",    "frameSizeError",   "PRIORITY is not 5 octets"],
  limit:         ["streamLimit",      "refusedStream",    "too many streams at once"],
  goingAway:     ["streamLimit",      "refusedStream",    "opened after GOAWAY"],
});

/** RFC 9113 5.4.1: nothing of the connection can be relied on any more. */
// biome-ignore format: a table reads as a table
export const ConnectionFault = table("connection", "upstreamProtocol", {
  preface:        ["http2Protocol",    "protocolError",    "connection preface"],
  firstFrame:     ["http2Protocol",    "protocolError",    "first frame is not SETTINGS"],
  frameTooLarge:  ["http2Protocol",    "frameSizeError",   "frame too large"],
  frameSize:      ["http2Protocol",    "frameSizeError",   "frame of a wrong size"],
  padding:        ["http2Protocol",    "protocolError",    "more padding than payload"],
  onConnection:   ["http2Protocol",    "protocolError",    "frame needs a stream"],
  onStream:       ["http2Protocol",    "protocolError",    "frame is for the connection"],
  idle:           ["http2Protocol",    "protocolError",    "frame on an idle stream"],
  streamId:       ["http2Protocol",    "protocolError",    "stream identifier"],
  closed:         ["http2Protocol",    "streamClosed",     "frame on a closed stream"],
  interleaved:    ["http2Protocol",    "protocolError",    "frame within a field block"],
  continuation:   ["http2Protocol",    "protocolError",    "CONTINUATION without a field block"],
  push:           ["http2Protocol",    "protocolError",    "PUSH_PROMISE"],
  setting:        ["http2Protocol",    "protocolError",    "value of a setting"],
  settingWindow:  ["http2FlowControl", "flowControlError", "SETTINGS_INITIAL_WINDOW_SIZE"],
  windowZero:     ["http2Protocol",    "protocolError",    "WINDOW_UPDATE of 0"],
  windowTooWide:  ["http2FlowControl", "flowControlError", "window above 2^31-1"],
  windowOverrun:  ["http2FlowControl", "flowControlError", "more content than the window"],
  selfDependent:  ["http2Protocol",    "protocolError",    "stream depends on itself"],
  compression:    ["http2Compression", "compressionError", "field block"],
});

/** Sound one by one; too many. */
// biome-ignore format: a table reads as a table
export const Flood = table("connection", "upstreamProtocol", {
  reset:        ["rapidReset",        "enhanceYourCalm", "RST_STREAM"],
  provoked:     ["provokedReset",     "enhanceYourCalm", "faults of streams"],
  settings:     ["settingsFlood",     "enhanceYourCalm", "SETTINGS"],
  ping:         ["pingFlood",         "enhanceYourCalm", "PING"],
  ignored:      ["ignoredFlood",      "enhanceYourCalm", "PRIORITY and unknown frames"],
  emptyData:    ["emptyDataFlood",    "enhanceYourCalm", "DATA without content"],
  window:       ["windowFlood",       "enhanceYourCalm", "WINDOW_UPDATE"],
  untaken:      ["untakenFlood",      "enhanceYourCalm", "answers that are not taken"],
  continuation: ["continuationFlood", "enhanceYourCalm", "CONTINUATION"],
  headerBomb:   ["headerBomb",        "enhanceYourCalm", "fields far over the limit"],
});
