/**
 * Asks by grpc.health.v1.Health/Check (github.com/grpc/grpc, doc/health-checking.md): a service is
 * well when its status is SERVING. A connection for each question, without TLS.
 */
import { connect, constants } from "node:http2";
import type { Probe, ProbeOutcome } from "./health-check.ts";
import type { Prober, ProbeTarget } from "./prober.ts";

type GrpcProbe = Extract<Probe, { by: "grpc" }>;

const ANSWER_BYTES_MAX = 4_096;
const SERVING = 1;

export class GrpcProber implements Prober {
  start(
    { address, port }: ProbeTarget,
    probe: GrpcProbe,
    onOutcome: (outcome: ProbeOutcome) => void,
  ): () => void {
    const authority = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const session = connect(`http://${authority}`);
    let over = false;
    const end = (outcome: ProbeOutcome | undefined): void => {
      if (over) return;
      over = true;
      session.destroy();
      if (outcome !== undefined) onOutcome(outcome);
    };
    // After the end too: an error that nobody hears would end the process.
    session.on("error", () => end("unreachable"));
    session.on("close", () => end("unreachable"));
    ask(session, probe, authority, end);
    return () => end(undefined);
  }
}

function ask(
  session: ReturnType<typeof connect>,
  { service, authority }: GrpcProbe,
  ownAuthority: string,
  end: (outcome: ProbeOutcome) => void,
): void {
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: "POST",
    [constants.HTTP2_HEADER_PATH]: "/grpc.health.v1.Health/Check",
    [constants.HTTP2_HEADER_AUTHORITY]: authority || ownAuthority,
    "content-type": "application/grpc",
    "user-agent": "mesh-health-check",
    te: "trailers",
  });
  let received = Buffer.alloc(0);
  let status = "";
  stream.on("response", (headers) => {
    status = String(headers["grpc-status"] ?? "");
    if (headers[":status"] !== 200) end("failed");
  });
  stream.on("trailers", (trailers) => {
    status = String(trailers["grpc-status"] ?? status);
  });
  stream.on("data", (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    if (received.length > ANSWER_BYTES_MAX) end("failed");
  });
  stream.on("end", () => end(status === "0" && isServing(received) ? "passed" : "failed"));
  stream.on("error", () => end("unreachable"));
  stream.end(healthRequest(service));
}

/** One uncompressed message { string service = 1 }. */
export function healthRequest(service: string): Uint8Array {
  const name = new TextEncoder().encode(service);
  const field = name.length === 0 ? [] : [0x0a, ...varint(name.length), ...name];
  return Uint8Array.from([0, 0, 0, field.length >> 8, field.length & 255, ...field]);
}

/** Of one uncompressed message { ServingStatus status = 1 }; other fields are passed over. */
export function isServing(frame: Uint8Array): boolean {
  if (frame.length < 5 || frame[0] !== 0) return false;
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(1);
  if (frame.length !== 5 + length) return false;
  let status = 0;
  for (let at = 5; at < frame.length; ) {
    // No field is longer than one octet's worth, or the message is not of this kind.
    if (frame[at] !== 0x08 || at + 1 >= frame.length || frame[at + 1]! > 0x7f) return false;
    status = frame[at + 1]!;
    at += 2;
  }
  return status === SERVING;
}

function varint(value: number): number[] {
  const octets: number[] = [];
  let left = value;
  for (; left > 0x7f; left >>= 7) octets.push((left & 0x7f) | 0x80);
  return [...octets, left];
}
