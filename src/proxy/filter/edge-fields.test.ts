/**
 * What a stranger claims at the edge and what becomes of it. A row is a request's fields and the
 * fields that go on, for N proxies in front of us.
 */
import { describe, expect, test } from "bun:test";
import { FieldId } from "../../http/field-id.ts";
import { MessageHead } from "../../http/message-head.ts";
import { HeadWriter } from "../../http1/head-writer.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { octets } from "../../testing/http1-stream.ts";
import {
  type ClientCertDetails,
  type EdgeConnection,
  EdgeFields,
  type EdgeRules,
  hideClaims,
} from "./edge-fields.ts";

const edge = new EdgeFields();
const peer: EdgeConnection = {
  address: octets("203.0.113.9"),
  secure: false,
  certificate: undefined,
};

interface Outcome {
  readonly client: string;
  readonly fields: readonly string[];
}

function through(fields: readonly string[], rules: Partial<EdgeRules>, from = peer): Outcome {
  const head = new MessageHead();
  const lines = fields.map((line) => `${line}\r\n`).join("");
  const bytes = octets(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`);
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  const all = { trustedProxies: 0, clientCert: "SANITIZE_SET" as const, ...rules };
  edge.apply(head, from, all);
  const once = Buffer.from(edge.out.subarray(0, edge.length)).toString("latin1");
  edge.apply(head, from, all);
  expect(Buffer.from(edge.out.subarray(0, edge.length)).toString("latin1")).toBe(once);
  const writer = new HeadWriter(new Uint8Array(65_536));
  writer.begin(0);
  writer.request(head);
  writer.fields(head);
  writer.addRange(edge.out, 0, edge.length);
  const end = writer.end();
  const text = Buffer.from(writer.out.subarray(0, end)).toString("latin1");
  const { clientBytes, clientStart, clientEnd } = edge;
  return {
    client: Buffer.from(clientBytes.subarray(clientStart, clientEnd)).toString("latin1"),
    fields: text.split("\r\n").slice(2, -2),
  };
}

describe("without a proxy in front", () => {
  test("the client is the peer, and says nothing of its way here", () => {
    const { client, fields } = through(
      [
        "X-Forwarded-For: 10.0.0.1",
        "x-forwarded-for: 10.0.0.2",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Prefix: /a",
        "Forwarded: for=10.0.0.1",
        "X-Forwarded-Client-Cert: By=spiffe://a/ns/b/sa/c",
        "X-Envoy-Max-Retries: 9",
        "X-Envoy-Upstream-Rq-Timeout-Ms: 1",
        "x-envoy-attempt-count: 1",
        "x-envoy-original-path: /b",
        "X-Mesh-Reason: no",
        "x-mesh-anything: no",
        "X-Mine: yes",
      ],
      {},
    );
    expect(client).toBe("203.0.113.9");
    expect(fields).toEqual([
      "X-Mine: yes",
      "x-forwarded-for: 203.0.113.9",
      "x-forwarded-proto: http",
    ]);
  });

  test("names that only resemble those are the client's own", () => {
    const own = [
      "x-forwarded: a",
      "x-forwarded-: a",
      "xx-envoy-a: a",
      "x-envoyage: a",
      "y-mesh-a: a",
    ];
    expect(through(own, {}).fields.slice(0, -2)).toEqual(own);
  });

  test("TLS is told of", () => {
    const { fields } = through(["x-forwarded-proto: http"], {}, { ...peer, secure: true });
    expect(fields).toEqual(["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: https"]);
  });
});

describe("with proxies in front the client is", () => {
  test.each([
    [1, ["198.51.100.1"], "198.51.100.1", "198.51.100.1, "],
    [1, ["1.1.1.1, 198.51.100.1"], "198.51.100.1", "198.51.100.1, "],
    [1, ["1.1.1.1", "198.51.100.1"], "198.51.100.1", "198.51.100.1, "],
    [2, ["1.1.1.1, 198.51.100.1 ,\t10.0.0.5"], "198.51.100.1", "198.51.100.1, 10.0.0.5, "],
    [2, ["1.1.1.1,,198.51.100.1,, 10.0.0.5,"], "198.51.100.1", "198.51.100.1, 10.0.0.5, "],
    [2, ["10.0.0.5"], "203.0.113.9", "10.0.0.5, "],
    [1, [], "203.0.113.9", ""],
    [1, [" , "], "203.0.113.9", ""],
    [1, ["2001:db8::1"], "2001:db8::1", "2001:db8::1, "],
    [1, ["[2001:db8::1]:80"], "2001:db8::1", "[2001:db8::1]:80, "],
    [1, ["198.51.100.1:4711"], "198.51.100.1", "198.51.100.1:4711, "],
    [1, ["unknown"], "203.0.113.9", "unknown, "],
    [1, ["a".repeat(65)], "203.0.113.9", ""],
    [1, [`${"a".repeat(65)}, 198.51.100.1`], "198.51.100.1", "198.51.100.1, "],
  ] as const)("by %i, that say %p: %s", (trustedProxies, values, client, kept) => {
    const outcome = through(
      values.map((value) => `X-Forwarded-For: ${value}`),
      { trustedProxies },
    );
    expect(outcome.client).toBe(client);
    expect(outcome.fields[0]).toBe(`x-forwarded-for: ${kept}203.0.113.9`);
  });

  test("counted from our side, however much is claimed on the other", () => {
    const claimed = Array.from({ length: 1_000 }, (_, i) => `9.9.${i >> 8}.${i & 255}`).join(",");
    const line = `x-forwarded-for: ${claimed}, 198.51.100.1, 10.0.0.5`;
    const { client, fields } = through([line], { trustedProxies: 2 });
    expect(client).toBe("198.51.100.1");
    expect(fields[0]).toBe("x-forwarded-for: 198.51.100.1, 10.0.0.5, 203.0.113.9");
    const all = through([line], { trustedProxies: 64 }).fields[0]!;
    expect(all.split(", ")).toHaveLength(65);
  });
});

describe("with a proxy in front", () => {
  const trusted = { trustedProxies: 1 };

  test("it may say which scheme, host and port it was asked for", () => {
    const said = [
      "x-forwarded-proto: https",
      "X-Forwarded-Host: a.example",
      "X-Forwarded-Port: 443",
    ];
    expect(through(said, trusted).fields).toEqual([...said, "x-forwarded-for: 203.0.113.9"]);
    expect(through(["x-forwarded-prefix: /a"], trusted).fields).toEqual([
      "x-forwarded-for: 203.0.113.9",
      "x-forwarded-proto: http",
    ]);
  });

  test.each([
    [["x-forwarded-proto: ftp"]],
    [["x-forwarded-proto: https, http"]],
    [["x-forwarded-proto: https", "x-forwarded-proto: http"]],
    [["x-forwarded-proto: HTTPS"]],
    [[]],
  ])("and else we say it: %p", (said) => {
    expect(through(said, trusted).fields.at(-1)).toBe("x-forwarded-proto: http");
    expect(through(said, trusted).fields).toHaveLength(2);
  });

  test.each([
    ["for=1.1.1.1, for=198.51.100.1;proto=https", "198.51.100.1", "for=198.51.100.1;proto=https, "],
    ['for="[2001:db8::1]:80"', "2001:db8::1", 'for="[2001:db8::1]:80", '],
    ["for=_hidden", "203.0.113.9", "for=_hidden, "],
    ["proto=https", "203.0.113.9", "proto=https, "],
  ])("Forwarded is believed as far: %s", (value, client, kept) => {
    const outcome = through([`Forwarded: ${value}`], trusted);
    expect(outcome.client).toBe(client);
    expect(outcome.fields[1]).toBe(`forwarded: ${kept}for=203.0.113.9`);
  });

  test("x-forwarded-for goes before it, and what is not well formed goes no further", () => {
    const both = ["x-forwarded-for: 198.51.100.1", "forwarded: for=1.1.1.1"];
    expect(through(both, trusted).client).toBe("198.51.100.1");
    for (const bad of ["for=1.1.1.1, for=", `for=1.1.1.1;x=${"a".repeat(256)}`]) {
      const outcome = through([`forwarded: ${bad}`], trusted);
      expect(outcome.client).toBe("203.0.113.9");
      expect(outcome.fields).toEqual(["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: http"]);
    }
  });

  test("a peer with an address of version 6 is named in brackets there", () => {
    const from = { ...peer, address: octets("2001:db8::9") };
    expect(through(["forwarded: for=_a"], trusted, from).fields.slice(0, 2)).toEqual([
      "x-forwarded-for: 2001:db8::9",
      'forwarded: for=_a, for="[2001:db8::9]"',
    ]);
  });
});

test("whose certificate is told of", () => {
  const claimed = "x-forwarded-client-cert: claimed";
  const own = "x-forwarded-client-cert: Hash=own";
  const rows: readonly (readonly [ClientCertDetails, string[], string[]])[] = [
    ["SANITIZE", [], []],
    ["FORWARD_ONLY", [], [claimed]],
    ["APPEND_FORWARD", [], [claimed, own]],
    ["SANITIZE_SET", [], [own]],
    ["ALWAYS_FORWARD_ONLY", [claimed], [claimed]],
  ];
  for (const [clientCert, stranger, proved] of rows) {
    const seen = (certificate: Uint8Array | undefined): string[] =>
      through([claimed], { clientCert }, { ...peer, certificate }).fields.filter((line) =>
        line.startsWith("x-forwarded-client-cert"),
      );
    expect([clientCert, seen(undefined)]).toEqual([clientCert, stranger]);
    expect([clientCert, seen(octets("Hash=own"))]).toEqual([clientCert, proved]);
    if (clientCert !== "ALWAYS_FORWARD_ONLY" && proved.includes(own))
      expect(seen(octets("a".repeat(4_097)))).toEqual(proved.filter((line) => line === claimed));
  }
});

test("what was dropped as a claim is found by no rule; fields of one hop still are", () => {
  const head = new MessageHead();
  const lines = [
    ...["X-Forwarded-For: 1.1.1.1", "x-forwarded-proto: https", "Forwarded: for=1.1.1.1"],
    ...["x-forwarded-client-cert: Hash=0", "X-Envoy-Max-Retries: 3", "x-mesh-a: b", "x-own: c"],
    ...["connection: upgrade", "upgrade: websocket"],
  ];
  const bytes = octets(`GET / HTTP/1.1\r\nHost: a\r\n${lines.join("\r\n")}\r\n\r\n`);
  expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
  edge.apply(head, peer, { trustedProxies: 0, clientCert: "SANITIZE" });
  hideClaims(head);
  const names = lines.map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
  expect(names.filter((name) => head.find(octets(name)) !== -1)).toEqual([
    ...["x-own", "connection", "upgrade"],
  ]);
  const ids = [FieldId.xForwardedFor, FieldId.xForwardedProto, FieldId.forwarded];
  expect(ids.filter((id) => head.has(id))).toEqual([]);
});

test("a proxy in front says whether the client used https", () => {
  const rows: readonly (readonly [trusted: number, line: string, secure: boolean])[] = [
    [0, "x-forwarded-proto: https", false],
    [1, "x-forwarded-proto: https", true],
    [1, "x-forwarded-proto: http", false],
    [1, "x-forwarded-proto: ftp", false],
  ];
  for (const [trustedProxies, line, secure] of rows) {
    through([line], { trustedProxies });
    expect([line, edge.secure]).toEqual([line, secure]);
  }
});
