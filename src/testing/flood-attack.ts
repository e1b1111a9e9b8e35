/**
 * What attackers send, by its octets, each on one connection of its own: over and over until the
 * proxy ends the connection, or for as long as the attacker likes. What the proxy said is noted.
 */
import { Flag, FrameType, preface } from "../http2/frame.ts";
import type { AttackSocket } from "./attack-socket.ts";
import { octets } from "./http1-stream.ts";
import { frame, headers, hello, join, literals, settings, uint32 } from "./http2-peer.ts";

export interface Attack {
  readonly name: string;
  /** What the proxy says to it, in AttackSocket's words; undefined: it ends without a word. */
  readonly answer: string | undefined;
  /** The class under which metrics count it; undefined: none, it costs nothing worth counting. */
  readonly reason: string | undefined;
  /** Of HTTP; 2 unless told. */
  readonly version?: 1 | 2;
  run(socket: AttackSocket, host: string, forMs: number): Promise<void>;
}

type Fields = readonly (readonly [name: string, value: string])[];
const calm = "GOAWAY ENHANCE_YOUR_CALM";
const late = "GOAWAY SETTINGS_TIMEOUT";

function request(host: string, method = "GET", path = "/", more: Fields = []): Fields {
  const pseudo: Fields = [
    [":method", method],
    [":scheme", "http"],
    [":path", path],
    [":authority", host],
  ];
  return [...pseudo, ...more];
}

/** An attack whose every step is `part(id, host)`, for streams 1, 3, 5 … or on one connection. */
function repeated(
  name: string,
  reason: string,
  part: (id: number, host: string) => Uint8Array,
  first: (host: string) => Uint8Array = () => new Uint8Array(0),
): Attack {
  return {
    name,
    answer: calm,
    reason,
    async run(socket, host, forMs) {
      await socket.send(join([hello, first(host)]));
      let id = 3;
      await socket.repeat(forMs, () => {
        const parts: Uint8Array[] = [];
        for (let i = 0; i < 50; i++, id += 2) parts.push(part(id, host));
        return join(parts);
      });
    },
  };
}

const window = (id: number, by: number): Uint8Array =>
  frame(FrameType.windowUpdate, 0, id, uint32(by));
const reset = (id: number): Uint8Array => frame(FrameType.rstStream, 0, id, uint32(8));
const acknowledged = frame(FrameType.settings, Flag.ack, 0, "");
const ping = frame(FrameType.ping, 0, 0, "12345678");
const openPost = (host: string): Uint8Array => headers(1, request(host, "POST"), false);

/** HEADERS without END_HEADERS; CONTINUATION follows without end. */
function continuations(name: string, payload: Uint8Array): Attack {
  const more = frame(FrameType.continuation, 0, 1, payload);
  return repeated(
    `CONTINUATION, ${name}`,
    "http2-continuation-flood",
    () => more,
    (host) => frame(FrameType.headers, Flag.endStream, 1, literals(request(host))),
  );
}

/** One entry of 4,000 octets put into the table, then asked for 12,000 times. */
function bomb(id: number, host: string): Uint8Array {
  const entry = "b".repeat(4_000);
  const size = [0x7f, ((entry.length - 127) & 127) | 128, (entry.length - 127) >> 7];
  const block = join([
    literals(request(host)),
    new Uint8Array([0x40, 1, 0x61, ...size]),
    octets(entry),
    new Uint8Array(12_000).fill(0xbe),
  ]);
  return frame(FrameType.headers, Flag.endHeaders | Flag.endStream, id, block.slice(0, 16_384));
}

/** Streams that ask for much, whose answers are never taken. */
function untaken(name: string, first: Uint8Array, reads: boolean): Attack {
  return {
    name,
    answer: undefined,
    reason: undefined,
    async run(socket, host, forMs) {
      socket.reads = reads;
      await socket.send(join([first, acknowledged]));
      const asked: Uint8Array[] = [];
      for (let i = 0; i < 100; i++)
        asked.push(headers(2 * i + 1, request(host, "GET", "/large/file")));
      await socket.send(join(asked));
      await socket.wait(forMs);
    },
  };
}

/** After the first `at` octets one at a time, four a second. */
function trickled(
  name: string,
  answer: string | undefined,
  reason: string,
  bytes: Uint8Array,
  start = 0,
): Attack {
  return {
    name,
    answer,
    reason,
    async run(socket, _host, forMs) {
      await socket.send(bytes.subarray(0, start));
      let at = start;
      await socket.repeat(forMs, async () => {
        await socket.wait(400);
        // Its last octet never comes.
        const next = bytes.subarray(at, at + 1);
        at = Math.min(at + 1, bytes.length - 1);
        return at < bytes.length - 1 ? next : new Uint8Array(0);
      });
    },
  };
}

const pipelined: Attack = {
  name: "100,000 requests of HTTP/1.1, answers not read",
  version: 1,
  answer: undefined,
  reason: undefined,
  async run(socket, host, forMs) {
    socket.reads = false;
    const hundred = octets(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(100));
    let left = 1_000;
    await socket.repeat(forMs, () => (left-- > 0 ? hundred : undefined));
    await socket.wait(forMs);
  },
};

const chunked: Attack = {
  name: "1,000,000 chunks of one octet",
  version: 1,
  answer: undefined,
  reason: undefined,
  async run(socket, host, forMs) {
    await socket.send(
      octets(`POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n`),
    );
    const thousand = octets("1\r\nx\r\n".repeat(1_000));
    let left = 1_000;
    await socket.repeat(forMs, () => (left-- > 0 ? thousand : undefined));
    await socket.send(octets("0\r\n\r\n"));
  },
};

const noWindow = join([preface, settings([4, 0])]);
const wideWindow = join([preface, settings([4, 0x7fffffff]), window(0, 0x7fff0000 - 65_535)]);

/** A request, and `frame` for its stream. */
const provoke =
  (part: (id: number) => Uint8Array) =>
  (id: number, host: string): Uint8Array =>
    join([headers(id, request(host)), part(id)]);
const data = (id: number, text: string): Uint8Array => frame(FrameType.data, 0, id, text);
const priority = (id: number, payload: Uint8Array): Uint8Array =>
  frame(FrameType.priority, 0, id, payload);
const upperCase: Fields = [["Upper", "x"]];

/** On streams of their own. */
const made: readonly Attack[] = [
  repeated("rapid reset", "http2-rapid-reset", provoke(reset)),
  provoked(
    "WINDOW_UPDATE of 0",
    provoke((id) => window(id, 0)),
  ),
  provoked(
    "a window too wide",
    provoke((id) => window(id, 0x7fffffff)),
  ),
  provoked(
    "DATA after the end",
    provoke((id) => data(id, "x")),
  ),
  provoked(
    "PRIORITY of 4 octets",
    provoke((id) => priority(id, new Uint8Array(4))),
  ),
  provoked("malformed requests", (id, host) => headers(id, request(host, "GET", "/", upperCase))),
  repeated("PRIORITY", "http2-ignored-frame-flood", (id) => priority(id, new Uint8Array(5))),
  repeated("HPACK bomb", "http2-header-bomb", bomb),
];

/** On the connection, or on one stream. */
const floods: readonly Attack[] = [
  continuations("of one octet", octets("x")),
  continuations("empty", new Uint8Array(0)),
  continuations("of 16 KB", new Uint8Array(16_384)),
  repeated("SETTINGS", "http2-settings-flood", () => settings([4, 65_535])),
  repeated("PING", "http2-ping-flood", () => ping),
  unread("PING, answers not read", "http2-ping-flood", ping),
  repeated("unknown frames", "http2-ignored-frame-flood", () => frame(0x42, 0, 0, "x")),
  repeated("empty DATA", "http2-empty-data-flood", () => data(1, ""), openPost),
  repeated("WINDOW_UPDATE", "http2-window-update-flood", () => window(0, 1)),
];

/** What costs nothing to send, and much to keep. */
const untakenAnswers: readonly Attack[] = [
  untaken("100 large answers, no window", noWindow, true),
  untaken("100 large answers, not read", wideWindow, false),
  pipelined,
  chunked,
];

/** What is ended by time alone: 10 seconds for a part of what is to come. */
export const slowAttacks: readonly Attack[] = [
  trickled("the preface by octets", late, "http2-settings-timeout", preface),
  trickled(
    "SETTINGS by octets",
    late,
    "http2-settings-timeout",
    join([preface, settings([1, 4_096], [2, 0], [3, 100], [4, 65_535], [5, 16_384])]),
    preface.length,
  ),
  trickled(
    "HEADERS by octets",
    calm,
    "request-head-timeout",
    join([hello, acknowledged, headers(1, request("a"))]),
    hello.length + acknowledged.length,
  ),
];

export const attacks: readonly Attack[] = [...made, ...floods, ...untakenAnswers];

function provoked(name: string, part: (id: number, host: string) => Uint8Array): Attack {
  return repeated(`made to reset: ${name}`, "http2-provoked-resets", part);
}

function unread(name: string, reason: string, part: Uint8Array): Attack {
  const many = join(Array.from({ length: 100 }, () => part));
  return {
    name,
    answer: undefined,
    reason,
    async run(socket, _host, forMs) {
      socket.reads = false;
      await socket.send(hello);
      await socket.repeat(forMs, () => many);
    },
  };
}
