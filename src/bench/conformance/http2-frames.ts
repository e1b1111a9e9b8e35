/**
 * h2spec's exchanges, frame by frame, against a session that answers every whole request with a
 * short body. Error codes must be those that h2spec asks for.
 */
import { Flag, FrameType, preface } from "../../http2/frame.ts";
import { HeadBlockWriter } from "../../http2/head-block-writer.ts";
import type { Stream } from "../../http2/stream.ts";
import { octets } from "../../testing/http1-stream.ts";
import { type Frame, Peer, readFrames } from "../../testing/http2-peer.ts";
import { readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface FrameCase {
  readonly name: string;
  readonly verify: readonly (readonly [check: string, parameters: string])[];
  readonly reference_exchange: readonly { readonly send_hex?: string }[];
}

/** In the order of their numbers (RFC 9113 7), as Go names them. */
const codes = [
  ...["No", "Protocol", "Internal", "FlowControl", "SettingsTimeout", "StreamClosed"],
  ...["FrameSize", "RefusedStream", "Cancel", "Compression", "Connect", "EnhanceYourCalm"],
];

const writer = new HeadBlockWriter();
/** As long as what the exchanges were recorded with. */
const body = octets("forty-two octets of content, and no more.\n");

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: FrameCase[] }>(path).cases) {
    verdicts.judge(one.name, judge(one));
  }
  return verdicts.result();
}

/** Takes what a case sends, and answers after each piece, as a server would at its leisure. */
class Server {
  readonly peer = new Peer("server");
  readonly frames: Frame[] = [];
  /** How many SETTINGS of the peer there were to acknowledge. */
  settingsTaken = 0;
  readonly #left = new Map<Stream<string>, number>();

  take(bytes: Uint8Array): void {
    const { peer } = this;
    const start = this.frames.length === 0 ? preface.length : 0;
    for (const { type, flags } of readFrames(bytes.subarray(start))) {
      if (type === FrameType.settings && (flags & Flag.ack) === 0) this.settingsTaken++;
    }
    peer.says(bytes);
    for (const line of peer.told()) this.#act(line);
    this.frames.push(...readFrames(peer.take()));
    for (const line of peer.told()) this.#act(line);
    this.frames.push(...readFrames(peer.take()));
  }

  #act(line: string): void {
    const [id, what] = line.split(" ");
    const stream = this.peer.sink.streams.get(Number(id));
    if (stream === undefined) return;
    if (what === "end" && writer.begin(stream)) {
      writer.status(200);
      writer.contentLength(body.length);
      writer.end(false);
      this.#left.set(stream, body.length);
    }
    if (what === "end" || what === "writable") this.#write(stream);
    if (what === "reset") stream.release();
  }

  #write(stream: Stream<string>): void {
    const left = this.#left.get(stream);
    if (left === undefined || stream.localEnded) return;
    const rest = left - stream.write(body, body.length - left, left);
    this.#left.set(stream, rest);
    if (rest > 0) return;
    stream.end();
    stream.release();
  }
}

function judge(one: FrameCase): string | undefined {
  const server = new Server();
  for (const { send_hex: hex } of one.reference_exchange) {
    if (hex === undefined) continue;
    server.take(new Uint8Array(Buffer.from(hex, "hex")));
  }
  const [check, parameters = ""] = one.verify.at(-1) ?? [""];
  const problem = checks[check]?.(server, parameters);
  if (problem === undefined && checks[check] === undefined) return `no such check: ${check}`;
  const seen = server.frames.map((frame) => describe(frame)).join(", ");
  return problem === true ? undefined : `hears ${seen}`;
}

type Check = (server: Server, parameters: string) => boolean;

const checks: Readonly<Record<string, Check>> = {
  "": (server) => has(server, FrameType.settings),
  VerifyConnectionError: (server, parameters) =>
    errors(server, FrameType.goaway, 4).some((code) => isWanted(code, parameters)),
  VerifyStreamError: (server, parameters) =>
    [...errors(server, FrameType.goaway, 4), ...errors(server, FrameType.rstStream, 0)].some(
      (code) => isWanted(code, parameters),
    ),
  VerifyStreamClose: (server) =>
    server.frames.some(({ type, flags }) => type <= 1 && (flags & Flag.endStream) !== 0) ||
    errors(server, FrameType.rstStream, 0).includes(0),
  VerifyConnectionClose: (server) => server.peer.session.failure !== undefined,
  VerifyHeadersFrame: (server) => has(server, FrameType.headers),
  VerifySettingsFrameWithAck: (server) =>
    server.frames.filter(isAck(FrameType.settings)).length === server.settingsTaken,
  VerifyPingFrameWithAck: (server) => server.frames.some(isAck(FrameType.ping)),
  VerifyPingFrameOrConnectionClose: (server) =>
    server.frames.some(isAck(FrameType.ping)) || server.peer.session.failure !== undefined,
  VerifyEventType: (server, parameters) => {
    const [, name] = /spec\.Event(\w+)Frame/.exec(parameters)!;
    return has(server, FrameType[name!.toLowerCase() as keyof typeof FrameType]);
  },
};

/** "codes..." is a list that the recording does not show. */
function isWanted(code: number, parameters: string): boolean {
  const wanted = [...parameters.matchAll(/ErrCode(\w+)/g)].map(([, name]) => codes.indexOf(name!));
  return wanted.length === 0 ? code !== 0 : wanted.includes(code);
}

function errors(server: Server, type: number, at: number): number[] {
  return server.frames
    .filter((frame) => frame.type === type)
    .map(({ payload }) => Buffer.from(payload).readUInt32BE(at));
}

function has(server: Server, type: number): boolean {
  return server.frames.some((frame) => frame.type === type);
}

function isAck(wanted: number): (frame: Frame) => boolean {
  return ({ type, flags }) => type === wanted && (flags & Flag.ack) !== 0;
}

function describe({ type, flags, streamId, payload }: Frame): string {
  return `${type}/${flags}@${streamId} ${Buffer.from(payload).toString("hex").slice(0, 40)}`;
}

export const frameSuites: readonly Suite[] = [{ file: "http/h2spec-frames.json", run }];
