/** What one line costs with its share of the write, beside the obvious ways to make one. */
import { closeSync, openSync, writeSync } from "node:fs";
import { systemClock } from "../core/clock.ts";
import { bench } from "../testing/bench.ts";
import { AccessLog, type AccessLogFormat, type LineSink } from "./access-log.ts";
import { RecordText, type RecordTextKind } from "./access-record.ts";
import { ConnectionNames } from "./connection-names.ts";

const head = Buffer.from(
  "GET /reviews/0?user=alice HTTP/1.1\r\nhost: reviews.default.svc.cluster.local:9080\r\n" +
    "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0\r\n" +
    "x-forwarded-for: 10.1.2.3\r\nx-request-id: 7f3c9a52-1b2c-4d5e-8f90-abcdef012345\r\n\r\n",
);

function rangeOf(kind: RecordTextKind, text: string): [RecordTextKind, number, number] {
  const at = head.indexOf(text);
  return [kind, at, at + text.length];
}

const ranges = [
  rangeOf(RecordText.method, "GET"),
  rangeOf(RecordText.path, "/reviews/0?user=alice"),
  rangeOf(RecordText.authority, "reviews.default.svc.cluster.local:9080"),
  rangeOf(RecordText.userAgent, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0"),
  rangeOf(RecordText.forwardedFor, "10.1.2.3"),
  rangeOf(RecordText.requestId, "7f3c9a52-1b2c-4d5e-8f90-abcdef012345"),
];

const names = new ConnectionNames("10.0.0.1:15001", "10.0.0.2:43210");

/** A sink that writes in the caller's thread: the whole of the cost is counted here. */
class FileSink implements LineSink {
  readonly #fd = openSync("/dev/null", "w");

  write(bytes: Uint8Array, done: (written: boolean) => void): void {
    done(this.writeSync(bytes));
  }

  writeSync(bytes: Uint8Array): boolean {
    return writeSync(this.#fd, bytes) === bytes.length;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function lines(format: AccessLogFormat, rounds: number): number {
  const sink = new FileSink();
  const log = new AccessLog({ format, sink, clock: systemClock });
  for (let i = 0; i < rounds; i++) {
    const record = log.acquire();
    record.startMs = 1_764_000_000_000 + i;
    for (let k = 0; k < ranges.length; k++) {
      const [kind, from, to] = ranges[k]!;
      record.text(kind, head, from, to);
    }
    record.status = 200;
    record.durationMs = 3.7;
    record.bytesSent = 4_183;
    record.upstreamServiceMs = 3;
    record.details = "via_upstream";
    record.upstreamCluster = "outbound|9080|v1|reviews.default.svc.cluster.local";
    record.upstreamHost = "10.0.0.7:9080";
    record.downstream = names;
    record.routeName = "reviews-canary";
    log.write(record);
  }
  log.flushSync();
  void log.close();
  sink.close();
  return log.lines;
}

/** A string for each field, one object, JSON.stringify, and one write for many lines. */
function stringified(rounds: number): number {
  const sink = new FileSink();
  let text = "";
  let written = 0;
  for (let i = 0; i < rounds; i++) {
    const [method, path, authority, agent, forwarded, id] = ranges.map(([, from, to]) =>
      head.toString("latin1", from, to),
    );
    text += `${JSON.stringify({
      start_time: new Date(1_764_000_000_000 + i).toISOString(),
      ...{ method, path, protocol: "HTTP/1.1", response_code: 200, response_flags: "-" },
      ...{ response_code_details: "via_upstream", connection_termination_details: null },
      ...{ bytes_received: 0, bytes_sent: 4_183, duration: 3, upstream_service_time: 3 },
      ...{ x_forwarded_for: forwarded, user_agent: agent, request_id: id, authority },
      ...{ upstream_cluster: "outbound|9080|v1|reviews.default.svc.cluster.local" },
      ...{ upstream_host: "10.0.0.7:9080", downstream_local_address: "10.0.0.1:15001" },
      ...{ downstream_remote_address: "10.0.0.2:43210", route_name: "reviews-canary" },
    })}\n`;
    written++;
    if (text.length < 65_536 && i < rounds - 1) continue;
    sink.writeSync(Buffer.from(text));
    text = "";
  }
  sink.close();
  return written;
}

bench(
  "an access-log line",
  { smoke: 1_000, full: 200_000 },
  {
    text: (rounds) => lines("text", rounds),
    json: (rounds) => lines("json", rounds),
    "JSON.stringify of strings": stringified,
  },
);
