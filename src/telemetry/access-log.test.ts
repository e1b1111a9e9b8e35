/** Lines as an operator reads them, and what happens when nobody takes them. */
import { expect, test } from "bun:test";
import { Failures } from "../core/failure.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { AccessLog, type AccessLogFormat, type LineSink } from "./access-log.ts";
import { AccessRecord, RecordText, TEXT_BYTES_MAX } from "./access-record.ts";
import { ConnectionNames } from "./connection-names.ts";

/** Keeps what it is given; writes are done when the test says so. */
class HeldSink implements LineSink {
  text = "";
  writes = 0;
  fails = false;
  pending: (() => void) | undefined;

  write(bytes: Uint8Array, done: (written: boolean) => void): void {
    this.writes++;
    this.pending = () => {
      this.pending = undefined;
      if (!this.fails) this.text += Buffer.from(bytes).toString("latin1");
      done(!this.fails);
    };
  }

  writeSync(bytes: Uint8Array): boolean {
    this.text += Buffer.from(bytes).toString("latin1");
    return true;
  }

  finish(): void {
    while (this.pending !== undefined) this.pending();
  }
}

function setUp(format: AccessLogFormat) {
  const clock = new VirtualClock();
  const sink = new HeldSink();
  return { clock, sink, log: new AccessLog({ format, sink, clock }) };
}

function lineOf(format: AccessLogFormat, fill: (record: AccessRecord) => void): string {
  const { clock, sink, log } = setUp(format);
  const record = log.acquire();
  fill(record);
  log.write(record);
  clock.advance(100);
  sink.finish();
  return sink.text;
}

const names = new ConnectionNames("10.0.0.1:15001", "10.0.0.2:43210");

function usual(record: AccessRecord): void {
  record.startMs = Date.UTC(2026, 10, 22, 16, 53, 29, 7);
  record.durationMs = 12.9;
  record.status = 200;
  record.bytesReceived = 5;
  record.bytesSent = 1_234_567_890_123;
  record.upstreamServiceMs = 11.2;
  record.attempts = 2;
  record.details = "via_upstream";
  record.upstreamCluster = "outbound|9080|v1|reviews.default.svc.cluster.local";
  record.upstreamHost = "10.0.0.7:9080";
  record.upstreamLocalAddress = "10.0.0.2:55000";
  record.downstream = names;
  record.routeName = "reviews-canary";
  const head = Buffer.from("GET /api?x=1 reviews:9080 curl/8 10.1.2.3 7f3c-id");
  const put = (kind: 0 | 1 | 3 | 4 | 5 | 6, text: string): void => {
    const at = head.indexOf(text);
    record.text(kind, head, at, at + text.length);
  };
  put(RecordText.method, "GET");
  put(RecordText.path, "/api?x=1");
  put(RecordText.authority, "reviews:9080");
  put(RecordText.userAgent, "curl/8");
  put(RecordText.forwardedFor, "10.1.2.3");
  put(RecordText.requestId, "7f3c-id");
}

test("the text format is Istio's", () => {
  expect(lineOf("text", usual)).toBe(
    '[2026-11-22T16:53:29.007Z] "GET /api?x=1 HTTP/1.1" 200 - via_upstream - "-" ' +
      '5 1234567890123 12 11 "10.1.2.3" "curl/8" "7f3c-id" "reviews:9080" "10.0.0.7:9080" ' +
      "outbound|9080|v1|reviews.default.svc.cluster.local 10.0.0.2:55000 10.0.0.1:15001 " +
      "10.0.0.2:43210 - reviews-canary\n",
  );
});

test("what is not known is a dash; a failure says its flag, reason and subject", () => {
  const line = lineOf("text", (record) => {
    record.startMs = Date.UTC(2026, 0, 1);
    record.status = 503;
    record.failure = Failures.overflow;
    record.details = "rule reviews limit";
    record.upstreamTransportFailure = "refused";
  });
  expect(line).toBe(
    '[2026-01-01T00:00:00.000Z] "- - HTTP/1.1" 503 UO circuit-breaker-open{rule_reviews_limit} ' +
      '- "refused" 0 0 0 - "-" "-" "-" "-" "-" - - - - - -\n',
  );
});

test("a call of gRPC has its status in JSON, in Envoy's letters", () => {
  for (const [status, name] of [
    [0, "OK"],
    [14, "Unavailable"],
    [16, "Unauthenticated"],
  ] as const) {
    const line = lineOf("json", (record) => {
      usual(record);
      record.grpcStatus = status;
    });
    expect(JSON.parse(line)).toMatchObject({ grpc_status: name, x_forwarded_for: "10.1.2.3" });
  }
  expect(lineOf("json", usual)).not.toContain("grpc_status");
});

test("JSON has Istio's keys, numbers as numbers and null for what is not known", () => {
  expect(JSON.parse(lineOf("json", usual))).toEqual({
    start_time: "2026-11-22T16:53:29.007Z",
    method: "GET",
    path: "/api?x=1",
    protocol: "HTTP/1.1",
    response_code: 200,
    response_flags: "-",
    response_code_details: "via_upstream",
    connection_termination_details: null,
    upstream_transport_failure_reason: null,
    bytes_received: 5,
    bytes_sent: 1_234_567_890_123,
    duration: 12,
    upstream_service_time: 11,
    upstream_request_attempt_count: 2,
    x_forwarded_for: "10.1.2.3",
    user_agent: "curl/8",
    request_id: "7f3c-id",
    traceparent: null,
    authority: "reviews:9080",
    upstream_host: "10.0.0.7:9080",
    upstream_cluster: "outbound|9080|v1|reviews.default.svc.cluster.local",
    upstream_local_address: "10.0.0.2:55000",
    downstream_local_address: "10.0.0.1:15001",
    downstream_remote_address: "10.0.0.2:43210",
    requested_server_name: null,
    route_name: "reviews-canary",
  });
});

test("a rewritten path is logged as the client sent it; old protocols are named", () => {
  const line = lineOf("text", (record) => {
    record.protocol = 0;
    record.string(RecordText.path, "/v2/x");
    record.string(RecordText.originalPath, "/x");
  });
  expect(line).toContain('"- /x HTTP/1.0"');
});

test("no byte of a peer, nor a name of an operator, can end its field or its line", () => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  for (const format of ["text", "json"] as const) {
    const line = lineOf(format, (record) => {
      record.text(RecordText.userAgent, every, 0, 256);
      record.string(RecordText.path, '/"\r\n[evil] "x"');
      record.routeName = 'a "route"\nwith a line \u{1f600}';
    });
    expect(line.indexOf("\n")).toBe(line.length - 1);
    expect(line).toMatch(/^[ -~]*\n$/);
    if (format === "text") continue;
    const parsed = JSON.parse(line);
    expect(parsed.user_agent).toBe(every.toString("latin1"));
    expect(parsed.route_name).toBe('a "route"\nwith a line \u{1f600}');
  }
});

test("texts of one request may come from several buffers", () => {
  const line = lineOf("text", (record) => {
    const head = Buffer.from("GET /v1/x reviews");
    record.text(RecordText.method, head, 0, 3);
    record.text(RecordText.path, head, 4, 9);
    record.string(RecordText.originalPath, "/before");
    record.text(RecordText.authority, head, 10, 17);
    record.string(RecordText.authority, "a second Host");
  });
  expect(line).toContain('"GET /before HTTP/1.1"');
  expect(line).toContain('"reviews" "-"');
});

test("what repeats is remembered by all that it depends on, and not for ever", () => {
  const { clock, sink, log } = setUp("text");
  const expected: string[] = [];
  const rows = [0, 1, 2].flatMap((round) =>
    Array.from({ length: 3_000 }, (_, i) => ({ round, host: `h${i % 50}`, route: `r${i % 99}` })),
  );
  for (const { round, host, route } of rows) {
    const record = log.acquire();
    record.upstreamHost = host;
    record.routeName = route;
    record.upstreamCluster = `c${round}`;
    if (round === 1) record.failure = Failures.overflow;
    if (round === 2) record.details = route;
    const outcome =
      round === 1 ? `UO ${Failures.overflow.reason}` : round === 2 ? `- ${route}` : "- -";
    expected.push(
      `0 ${outcome} - "-" 0 0 0 - "-" "-" "-" "-" "${host}" c${round} - - - - ${route}`,
    );
    log.write(record);
  }
  clock.advance(100);
  sink.finish();
  clock.advance(100);
  sink.finish();
  const lines = sink.text.trimEnd().split("\n");
  expect(lines.map((line) => line.slice(line.indexOf("HTTP/1.1") + 10))).toEqual(expected);
});

test("enormous texts are cut, and a record that was written holds them no more", () => {
  const { clock, sink, log } = setUp("json");
  const record = log.acquire();
  const huge = Buffer.alloc(1 << 20, 0x01);
  for (const kind of Object.values(RecordText)) record.text(kind, huge, 0, huge.length);
  log.write(record);
  expect(record.bytes.length).toBe(0);
  clock.advance(100);
  sink.finish();
  expect(JSON.parse(sink.text).user_agent.length).toBe(TEXT_BYTES_MAX);
});

test("a record that is used again says nothing of the exchange before", () => {
  const { clock, sink, log } = setUp("json");
  const first = log.acquire();
  usual(first);
  first.string(RecordText.originalPath, "/before");
  first.string(RecordText.traceParent, 'not "plain"');
  first.failure = Failures.overflow;
  first.upstreamTransportFailure = "refused";
  first.requestedServerName = "reviews";
  first.protocol = 0;
  log.write(first);
  const second = log.acquire();
  expect(second).toBe(first);
  log.write(second);
  log.write(new AccessRecord());
  clock.advance(100);
  sink.finish();
  const [, reused, fresh] = sink.text.split("\n");
  expect(reused).toBe(fresh!);
});

test("each line has the time at which its exchange began, in whatever order they end", () => {
  const { clock, sink, log } = setUp("text");
  const startMs = Date.UTC(2026, 0, 1);
  for (const ms of [0, 999, 1_000, 86_399_999, 5]) {
    const record = log.acquire();
    record.startMs = startMs + ms;
    log.write(record);
  }
  clock.advance(100);
  sink.finish();
  expect(sink.text.match(/T[\d:.]+/g)).toEqual([
    "T00:00:00.000",
    "T00:00:00.999",
    "T00:00:01.000",
    "T23:59:59.999",
    "T00:00:00.005",
  ]);
});

test("numbers of every length are written whole", () => {
  for (let digits = 1; digits < 17; digits++)
    for (const value of [10 ** (digits - 1), 10 ** digits - 1]) {
      const line = lineOf("json", (record) => {
        record.bytesSent = value;
        record.status = digits;
      });
      expect(JSON.parse(line).bytes_sent).toBe(value);
    }
});

test("a line is written within 100 ms, or as soon as 256 KiB have come together", () => {
  const { clock, sink, log } = setUp("text");
  log.write(log.acquire());
  clock.advance(99);
  expect(sink.writes).toBe(0);
  clock.advance(1);
  expect(sink.writes).toBe(1);
  sink.finish();
  expect(clock.waiting).toBe(0);
  for (let i = 0; i < 4_000; i++) log.write(log.acquire());
  expect(sink.writes).toBe(2);
  sink.finish();
  clock.advance(100);
  sink.finish();
  expect(sink.text.split("\n").length - 1).toBe(4_001);
});

test("a sink that is stuck costs lines, which are counted, and neither memory nor the rest", () => {
  const { clock, sink, log } = setUp("text");
  for (let i = 0; i < 100_000; i++) log.write(log.acquire());
  expect(sink.writes).toBe(1);
  expect(log.dropped).toBeGreaterThan(0);
  expect(log.lines + log.dropped).toBe(100_000);
  sink.finish();
  clock.advance(1_000);
  sink.finish();
  expect(sink.text.split("\n").length - 1).toBe(log.lines);
  log.write(log.acquire());
  clock.advance(100);
  sink.finish();
  expect(sink.text.split("\n").length - 1).toBe(log.lines);
});

test("lines that the disk refuses are counted as dropped, and logging goes on", () => {
  const { clock, sink, log } = setUp("text");
  sink.fails = true;
  for (let i = 0; i < 3; i++) log.write(log.acquire());
  clock.advance(100);
  sink.finish();
  expect(log.dropped).toBe(3);
  sink.fails = false;
  log.write(log.acquire());
  clock.advance(100);
  sink.finish();
  expect(sink.text.split("\n").length - 1).toBe(1);
});

test("close waits for the write under way and for what came after it", async () => {
  const { clock, sink, log } = setUp("text");
  log.write(log.acquire());
  clock.advance(100);
  log.write(log.acquire());
  const closed = log.close();
  while (sink.pending !== undefined) {
    sink.pending();
    await Promise.resolve();
    await Promise.resolve();
  }
  await closed;
  expect(sink.text.split("\n").length - 1).toBe(2);
  expect(clock.waiting).toBe(0);
  log.write(log.acquire());
  log.flushSync();
  expect(sink.text.split("\n").length - 1).toBe(3);
});

test("close does not wait for ever for a sink that is stuck", async () => {
  const { clock, log } = setUp("text");
  log.write(log.acquire());
  const closed = log.close();
  clock.advance(1_000);
  await closed;
});
