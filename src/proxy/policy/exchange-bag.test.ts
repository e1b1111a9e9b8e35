/** What rules can ask of requests and connections, in the words of their attributes. */
import { expect, test } from "bun:test";
import type { AttributeBag } from "../../attribute/bag.ts";
import { Fault } from "../../attribute/fault.ts";
import { formatIpAddress } from "../../attribute/ip-address.ts";
import type { StringMap, Value, ValueType } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { Failures } from "../../core/failure.ts";
import { defaultHeadLimits, MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { Endpoint } from "../cluster/endpoint.ts";
import { serviceNameOf } from "../cluster/service-name.ts";
import { ConnectionFacts } from "./connection-facts.ts";
import { ExchangeBag, type Readers } from "./exchange-bag.ts";
import { ExchangeFacts, HeadScratch, RelayedFacts } from "./exchange-facts.ts";
import { exchangeReaders, relayReaders } from "./exchange-reader.ts";
import type { PolicyNode } from "./workload.ts";
import { decodeClaim, encodeClaim } from "./workload-claim.ts";

const reviews: PolicyNode = {
  id: "reviews-1x8k2m.default",
  service: "reviews.default.svc.cluster.local",
  namespace: "default",
  labels: { version: "v1" },
  address: "10.0.0.7",
  version: "1.2",
  mode: "sidecar",
};
const octets = (text: string): Uint8Array => new TextEncoder().encode(text);
const request = octets(
  [
    "POST /api/v1?user=jason&empty=&user=second&flag HTTP/1.1",
    "Host: ratings:9080",
    "X-User: jason",
    "cookie: a=1",
    "Cookie: b=2",
    "x-tag: one",
    "X-Tag: two",
    "User-Agent: curl/8",
    "Referer: http://a/",
    "x-name: Zo\u00eb",
    "",
    "",
  ].join("\r\n"),
);
const connection = new ConnectionFacts(
  { address: "10.0.0.9", port: 4711 },
  { address: "10.0.0.7", port: 15006 },
  undefined,
);
const scratch = new HeadScratch(defaultHeadLimits);

function scanned(bytes: Uint8Array): MessageHead {
  const head = new MessageHead();
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBeGreaterThan(0);
  return head;
}

/** As it is judged: the head is there, and nobody has answered. */
function arriving(bytes = request): ExchangeFacts {
  const facts = new ExchangeFacts(scratch);
  facts.requestHead = scanned(bytes);
  facts.connection = connection;
  facts.service = serviceNameOf("ratings.default.svc.cluster.local");
  facts.startWallMs = 1_700_000_000_250;
  return facts;
}

/** As it is told: its octets were kept. */
function over(): ExchangeFacts {
  const facts = new ExchangeFacts(scratch);
  facts.connection = connection;
  facts.service = serviceNameOf("ratings.default.svc.cluster.local");
  facts.startWallMs = 1_700_000_000_250;
  facts.isOver = true;
  facts.requestOctets = request;
  facts.requestOctetCount = request.length;
  facts.responseOctets = octets("HTTP/1.1 503 No\r\nx-app: a\r\ncontent-length: 0\r\n\r\n");
  facts.status = 503;
  facts.durationMs = 12.5;
  facts.requestBytes = 10;
  facts.requestHeadBytes = 200;
  facts.responseBytes = 7;
  facts.responseHeadBytes = 47;
  facts.failure = Failures.upstreamTimeout;
  facts.checkCode = 7;
  facts.checkMessage = "PERMISSION_DENIED:no";
  const labels = { version: "v2", tier: "back" };
  const known = {
    labels,
    workload: "ratings-9z.default",
    locality: "",
    meshTransport: false,
    identity: "",
  };
  facts.endpoint = new Endpoint({ address: "10.0.0.8", port: 9080 }, known, undefined as never);
  return facts;
}

function bagOf<F>(readers: Readers<F>, facts: F): (name: string) => unknown {
  const vocabulary = new Vocabulary([...readers].map(([name, [type]]) => [name, type]));
  const bag: AttributeBag = new ExchangeBag(vocabulary, readers, facts);
  return (name) => {
    const attribute = vocabulary.find(name.replace(/\[.*/, ""));
    if (attribute === undefined) return "not known here";
    const value = bag.read(attribute.slot);
    const key = /\[(.*)\]/.exec(name)?.[1];
    if (key !== undefined) return (value as StringMap | undefined)?.get(key);
    return plain(value as Value | undefined, attribute.type);
  };
}

function plain(value: Value | undefined, type: ValueType): unknown {
  if (value === undefined) return undefined;
  if (type === "IP_ADDRESS") return formatIpAddress(value as Uint8Array);
  if (type === "STRING_MAP") return Object.fromEntries((value as StringMap).entries());
  return value;
}

test("a request as it arrives", () => {
  const read = bagOf(exchangeReaders(reviews, "outbound"), arriving());
  const rows: [string, unknown][] = [
    ["request.method", "POST"],
    ["request.host", "ratings:9080"],
    ["request.path", "/api/v1?user=jason&empty=&user=second&flag"],
    ["request.url_path", "/api/v1"],
    ["request.useragent", "curl/8"],
    ["request.referer", "http://a/"],
    ["request.scheme", "http"],
    ["request.id", undefined],
    ["request.time", { seconds: 1_700_000_000, nanos: 250_000_000 }],
    ["request.headers[x-user]", "jason"],
    ["request.headers[X-USER]", "jason"],
    ["request.headers[cookie]", "a=1; b=2"],
    ["request.headers[x-tag]", "one,two"],
    ["request.headers[x-name]", "Zo\u00eb"],
    ["request.headers[x-none]", undefined],
    ["request.headers[x-use]", undefined],
    ["request.headers[]", undefined],
    ["request.headers[:method]", "POST"],
    ["request.headers[:authority]", "ratings:9080"],
    ["request.headers[:path]", "/api/v1?user=jason&empty=&user=second&flag"],
    ["request.headers[:none]", undefined],
    ["request.query_params[user]", "jason"],
    ["request.query_params[empty]", ""],
    ["request.query_params[flag]", ""],
    ["request.query_params[none]", undefined],
    ["request.query_params", { user: "jason", empty: "", flag: "" }],
    ["context.protocol", "http"],
    ["context.reporter.kind", "outbound"],
    ["context.reporter.uid", "kubernetes://reviews-1x8k2m.default"],
    ["connection.mtls", false],
    ["destination.service", "ratings.default.svc.cluster.local"],
    ["destination.service.host", "ratings.default.svc.cluster.local"],
    ["destination.service.name", "ratings"],
    ["destination.service.namespace", "default"],
    ["destination.service.uid", "istio://default/services/ratings"],
    ["response.code", undefined],
    ["response.duration", undefined],
    ["request.size", undefined],
    ["context.proxy_error_code", undefined],
    ["check.error_code", undefined],
    ["destination.ip", undefined],
    ["destination.labels", { app: "ratings" }],
    ["destination.namespace", "default"],
    ["destination.workload.name", undefined],
    ["request.auth.principal", "not known here"],
  ];
  for (const [name, value] of rows) expect([name, read(name)]).toEqual([name, value]);
});

test("all fields of a request, by name", () => {
  const read = bagOf(exchangeReaders(reviews, "outbound"), arriving());
  expect(read("request.headers")).toEqual({
    ":authority": "ratings:9080",
    ":method": "POST",
    ":path": "/api/v1?user=jason&empty=&user=second&flag",
    host: "ratings:9080",
    "x-user": "jason",
    cookie: "a=1; b=2",
    "x-tag": "one,two",
    "user-agent": "curl/8",
    referer: "http://a/",
    "x-name": "Zo\u00eb",
  });
});

test("a request after it was answered: its octets were kept", () => {
  const read = bagOf(exchangeReaders(reviews, "outbound"), over());
  const rows: [string, unknown][] = [
    ["request.headers[x-user]", "jason"],
    ["request.url_path", "/api/v1"],
    ["request.size", 10],
    ["request.total_size", 210],
    ["response.code", 503],
    ["response.size", 7],
    ["response.total_size", 54],
    ["response.duration", 12_500_000],
    ["response.time", { seconds: 1_700_000_000, nanos: 262_500_000 }],
    ["response.headers[x-app]", "a"],
    ["response.headers[:status]", "503"],
    ["context.proxy_error_code", "UT"],
    ["check.error_code", 7],
    ["check.error_message", "PERMISSION_DENIED:no"],
    ["destination.ip", "10.0.0.8"],
    ["destination.port", 9080],
    ["destination.uid", "kubernetes://ratings-9z.default"],
    ["destination.name", "ratings-9z"],
    ["destination.namespace", "default"],
    ["destination.workload.name", "ratings-v2"],
    ["destination.workload.namespace", "default"],
    ["destination.workload.uid", "istio://default/workloads/ratings-v2"],
    ["destination.owner", "istio://default/workloads/ratings-v2"],
    ["destination.labels", { version: "v2", tier: "back", app: "ratings" }],
  ];
  for (const [name, value] of rows) expect([name, read(name)]).toEqual([name, value]);
});

test("what was not kept is not there", () => {
  const facts = over();
  facts.requestOctetCount = 0;
  facts.responseOctets = new Uint8Array(0);
  const read = bagOf(exchangeReaders(reviews, "outbound"), facts);
  for (const name of ["request.method", "request.headers", "response.headers"])
    expect(read(name)).toBeUndefined();
  expect(read("response.code")).toBe(503);
});

test("the proxy of who calls is the source, that of who is called the destination", () => {
  const own = {
    uid: "kubernetes://reviews-1x8k2m.default",
    name: "reviews-1x8k2m",
    namespace: "default",
    owner: "istio://default/workloads/reviews-v1",
    "workload.name": "reviews-v1",
    "workload.namespace": "default",
    "workload.uid": "istio://default/workloads/reviews-v1",
    labels: { version: "v1", app: "reviews" },
  };
  const outbound = bagOf(exchangeReaders(reviews, "outbound"), arriving());
  const inbound = bagOf(exchangeReaders(reviews, "inbound"), arriving());
  for (const [name, value] of Object.entries(own)) {
    expect([name, outbound(`source.${name}`)]).toEqual([name, value]);
    expect([name, inbound(`destination.${name}`)]).toEqual([name, value]);
  }
  expect(inbound("context.reporter.kind")).toBe("inbound");
  expect(inbound("source.uid")).toBeUndefined();
  expect(inbound("source.ip")).toBe("10.0.0.9");
  expect(inbound("origin.ip")).toBe("10.0.0.9");
  expect(inbound("destination.ip")).toBe("10.0.0.7");
});

test("a peer with a certificate of the mesh is known by it", () => {
  const uri = "spiffe://cluster.local/ns/shop/sa/web";
  const names = { uris: [uri], uriCount: 1, dns: [], addresses: [] };
  const peer = { verified: true, verdict: "", subject: "", names, sha256: "", notAfterMs: 0 };
  const tls = { version: "", cipher: "", protocol: "", serverName: "a.example", peer };
  const facts = arriving();
  const of = (verified: boolean) =>
    new ConnectionFacts(connection.source, connection.local, {
      ...tls,
      peer: { ...peer, verified },
    });
  facts.connection = of(true);
  const read = bagOf(exchangeReaders(reviews, "inbound"), facts);
  expect(read("source.principal")).toBe("cluster.local/ns/shop/sa/web");
  expect(read("source.namespace")).toBe("shop");
  expect(read("connection.mtls")).toBe(true);
  expect(read("connection.requested_server_name")).toBe("a.example");
  facts.connection = of(false);
  expect([read("source.principal"), read("source.namespace"), read("connection.mtls")]).toEqual([
    undefined,
    undefined,
    false,
  ]);
});

test("who calls is what its sidecar says, but for what a certificate proves", () => {
  const claim = decodeClaim(encodeClaim({ ...reviews, namespace: "default" }))!;
  const facts = arriving();
  const word = { claim, port: 0, judge: undefined };
  facts.connection = new ConnectionFacts(connection.source, connection.local, undefined, word);
  const read = bagOf(exchangeReaders(reviews, "inbound"), facts);
  const rows: [string, unknown][] = [
    ["source.uid", "kubernetes://reviews-1x8k2m.default"],
    ["source.namespace", "default"],
    ["source.service", "reviews.default.svc.cluster.local"],
    ["source.labels[app]", "reviews"],
    ["source.labels[version]", "v1"],
    ["source.workload.name", "reviews-v1"],
    ["source.principal", undefined],
  ];
  for (const [name, value] of rows) expect([name, read(name)]).toEqual([name, value]);
});

test("what an edge does not believe is not there", () => {
  const facts = arriving(octets("GET / HTTP/1.1\r\nHost: a\r\nx-mesh-a: forged\r\nx-b: 2\r\n\r\n"));
  facts.requestHead!.dropped[1] = 1;
  const read = bagOf(exchangeReaders(reviews, "outbound"), facts);
  expect(read("request.headers[x-mesh-a]")).toBe("forged");
  facts.fromEdge = true;
  expect(read("request.headers[x-mesh-a]")).toBeUndefined();
  expect(read("request.headers[x-b]")).toBe("2");
  expect(read("request.headers")).not.toHaveProperty("x-mesh-a");
});

test("a connection that is passed on", () => {
  const facts = new RelayedFacts();
  facts.connection = connection;
  facts.id = "reviews-1x8k2m.default-7";
  facts.wallMs = 1_000;
  const read = bagOf(relayReaders(reviews, "inbound"), facts);
  expect(read("connection.event")).toBe("open");
  expect(read("connection.duration")).toBeUndefined();
  facts.event = "close";
  facts.isOver = true;
  facts.durationMs = 3;
  facts.received = 5;
  facts.receivedTotal = 12;
  const rows: [string, unknown][] = [
    ["context.protocol", "tcp"],
    ["context.time", { seconds: 1, nanos: 0 }],
    ["context.proxy_error_code", "-"],
    ["connection.id", "reviews-1x8k2m.default-7"],
    ["connection.event", "close"],
    ["connection.received.bytes", 5],
    ["connection.received.bytes_total", 12],
    ["connection.sent.bytes", 0],
    ["connection.duration", 3_000_000],
    ["request.method", "not known here"],
  ];
  for (const [name, value] of rows) expect([name, read(name)]).toEqual([name, value]);
});

test("an attribute that somebody declared of another type has no value, and says why", () => {
  const vocabulary = new Vocabulary([
    ["request.method", "INT64"],
    ["request.host", "DNS_NAME"],
    ["unheard.of", "STRING"],
  ]);
  const bag = new ExchangeBag(vocabulary, exchangeReaders(reviews, "outbound"), arriving());
  expect(bag.read(0)).toBeInstanceOf(Fault);
  expect((bag.read(0) as Fault).message).toBe("'request.method' is declared INT64, and is STRING");
  expect(bag.read(1)).toBe("ratings:9080");
  expect(bag.read(2)).toBeUndefined();
});

test("each exchange is a moment of its own, even in the same object", () => {
  const facts = arriving();
  const bag = new ExchangeBag(new Vocabulary([]), exchangeReaders(reviews, "outbound"), facts);
  const before = bag.moment;
  expect(bag.about(facts).moment).not.toBe(before);
});

test("a head in bytes that are no UTF-8 keeps them apart", () => {
  const bytes = octets("GET / HTTP/1.1\r\nHost: a\r\nx-a: ..\r\n\r\n");
  bytes.set([0xff, 0xfe], bytes.length - 6);
  const read = bagOf(exchangeReaders(reviews, "outbound"), arriving(bytes));
  expect(read("request.headers[x-a]")).toBe("\udcff\udcfe");
});

test("what was read of one head is not said of the next", () => {
  const facts = arriving(octets("GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: one\r\nx-b: 1\r\n\r\n"));
  const read = bagOf(exchangeReaders(reviews, "outbound"), facts);
  const names = ["request.path", "request.useragent", "request.headers[x-b]"];
  for (let times = 0; times < 2; times++) expect(names.map(read)).toEqual(["/a", "one", "1"]);
  facts.requestHead = scanned(octets("GET /b HTTP/1.1\r\nHost: a\r\nUser-Agent: two\r\n\r\n"));
  expect(names.map(read)).toEqual(["/b", "two", undefined]);
  facts.forgetHeads();
  expect(names.map(read)).toEqual([undefined, undefined, undefined]);
  const kept = octets("GET /c HTTP/1.1\r\nHost: a\r\nx-b: 3\r\n\r\n");
  facts.requestOctets = kept;
  facts.requestOctetCount = kept.length;
  expect(names.map(read)).toEqual(["/c", undefined, "3"]);
});
