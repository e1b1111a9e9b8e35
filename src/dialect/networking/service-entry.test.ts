/** Which services and workloads of the static registry may be written. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "../../core/problem.ts";
import { readDocuments } from "../read.ts";

function told(kind: string, spec: string): readonly string[] {
  const text = `apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: { name: x, namespace: prod }
spec: ${spec}
`;
  const { problems } = readDocuments(text, { file: "r.yaml", namespace: "default" });
  return problems.map((problem) => formatProblem(problem).replace(/^r\.yaml:\d+:\d+: /, ""));
}

const http = "{ number: 80, name: http, protocol: HTTP }";
const tcp = "{ number: 81, name: tcp, protocol: TCP }";
const here = "{ address: 10.0.0.1 }";

describe("a service entry is fine", () => {
  const good: readonly string[] = [
    `{ hosts: [a.com], ports: [${http}] }`,
    "{ hosts: [a.com] }",
    `{ hosts: ['*.a.com'], ports: [${http}], resolution: DNS, endpoints: [{ address: b.com }] }`,
    `{ hosts: [a.com], ports: [${http}], resolution: 2 }`,
    `{ hosts: [a.com, b.com], ports: [${http}], resolution: DNS }`,
    `{ hosts: [a.com, b.com], ports: [${http}], addresses: [10.0.0.0/8], resolution: STATIC,
       endpoints: [{ address: 10.0.0.1, ports: { http: 8080 } }] }`,
    "{ hosts: [a.com], ports: [{ number: 80, name: http }] }",
    `{ hosts: ['*.a.com'], ports: [${http}], resolution: DYNAMIC_DNS }`,
    `{ hosts: [a.com], ports: [${http}], resolution: STATIC, exportTo: ['*'],
       workloadSelector: { labels: { app: a } } }`,
  ];
  test.each(good)("%s", (spec) => {
    expect(told("ServiceEntry", spec)).toEqual([]);
  });
});

describe("a service entry is refused", () => {
  const bad: readonly (readonly [title: string, spec: string, why: string])[] = [
    ["without hosts", "{ hosts: [] }", "spec.hosts: must have at least one host"],
    ["without the field hosts", "{ ports: [] }", "spec: must have at least one host"],
    ["for every host", "{ hosts: ['*'] }", 'spec.hosts[0]: "*" would claim every host'],
    [
      "with a port's number twice",
      `{ hosts: [a.com], ports: [${http}, { number: 80, name: b }] }`,
      "spec.ports[1].number: port 80 is given twice",
    ],
    [
      "with a port's name twice",
      `{ hosts: [a.com], ports: [${http}, { number: 81, name: http }] }`,
      'spec.ports[1].name: port name "http" is given twice',
    ],
    [
      "with a port without a name",
      "{ hosts: [a.com], ports: [{ number: 80 }] }",
      "spec.ports[0]: must have a name",
    ],
    [
      "with a protocol that nobody knows",
      "{ hosts: [a.com], ports: [{ number: 80, name: a, protocol: HTP }] }",
      "spec.ports[0].protocol: must be one of HTTP, HTTP_PROXY, HTTP2, GRPC, GRPC-WEB, HTTPS, " +
        'TLS, TCP, MONGO, REDIS, MYSQL, UDP, not "HTP" (did you mean HTTP?)',
    ],
    [
      "with a port of UDP",
      "{ hosts: [a.com], ports: [{ number: 53, name: dns, protocol: UDP }] }",
      "spec.ports[0].protocol: UDP is not carried: the mesh routes requests and TCP connections " +
        "(leave it out)",
    ],
    [
      "with a port whose name says UDP",
      "{ hosts: [a.com], ports: [{ number: 53, name: udp-dns }] }",
      "spec.ports[0].name: UDP is not carried: the mesh routes requests and TCP connections " +
        "(leave it out)",
    ],
    [
      "with two hosts on a port that cannot tell them apart",
      `{ hosts: [a.com, b.com], addresses: [10.0.0.1], ports: [${tcp}], resolution: DNS }`,
      "spec.ports[0].protocol: must be HTTP or TLS, since the entry has several hosts",
    ],
    [
      "with endpoints that its resolution has no use for",
      `{ hosts: [a.com], ports: [${http}], endpoints: [${here}] }`,
      "spec.endpoints: has no place beside resolution NONE",
    ],
    [
      "with a name where only an address can be",
      `{ hosts: [a.com], ports: [${http}], resolution: STATIC, endpoints: [{ address: b.com }] }`,
      'spec.endpoints[0].address: "b.com" is not an IP address',
    ],
    [
      "with an endpoint's port that it does not have",
      `{ hosts: [a.com], ports: [${http}], resolution: STATIC,
         endpoints: [{ address: 10.0.0.1, ports: { htp: 80 } }] }`,
      'spec.endpoints[0].ports.htp: port "htp" is not one of the entry\'s ports',
    ],
    [
      "with a wildcard that cannot be resolved",
      `{ hosts: ['*.a.com'], ports: [${http}], resolution: DNS }`,
      'spec.hosts: "*.a.com" cannot be resolved (list endpoints)',
    ],
    [
      "with two endpoints for DNS_ROUND_ROBIN",
      `{ hosts: [a.com], ports: [${http}], resolution: DNS_ROUND_ROBIN,
         endpoints: [${here}, ${here}] }`,
      "spec.endpoints: may be one at most for resolution DNS_ROUND_ROBIN",
    ],
    [
      "with a block of addresses for DNS",
      `{ hosts: [a.com], addresses: [10.0.0.0/8], ports: [${http}], resolution: DNS }`,
      "spec.addresses: may be blocks of addresses for resolution NONE and STATIC only",
    ],
    [
      "with a selector beside endpoints",
      `{ hosts: [a.com], resolution: STATIC, workloadSelector: {}, endpoints: [${here}] }`,
      "spec.workloadSelector: must not stand beside endpoints",
    ],
    [
      "with a socket for two ports",
      `{ hosts: [a.com], ports: [${http}, { number: 81, name: b }], resolution: STATIC,
         endpoints: [{ address: "unix:///a" }] }`,
      "spec.endpoints[0].address: may be a socket only where the entry has one port",
    ],
    [
      "for a host that is not a wildcard, resolved when it is called",
      `{ hosts: [a.com], ports: [${http}], resolution: DYNAMIC_DNS }`,
      'spec.hosts: "a.com" must be a wildcard for resolution DYNAMIC_DNS',
    ],
    [
      "when exported to everybody and somebody",
      "{ hosts: [a.com], exportTo: ['*', b] }",
      'spec.exportTo: "*" must stand alone',
    ],
    [
      "when exported twice to its own namespace",
      "{ hosts: [a.com], exportTo: [., prod] }",
      'spec.exportTo: "prod" is given twice',
    ],
  ];
  test.each(bad)("%s", (_, spec, why) => {
    expect(told("ServiceEntry", spec).filter((line) => !line.startsWith("warning"))).toEqual([why]);
  });
});

test("a service entry warns of what it does not do yet", () => {
  expect(told("ServiceEntry", "{ hosts: [a.com], exportTo: [b], subjectAltNames: [c] }")).toEqual([
    "warning: spec.exportTo: is not obeyed yet: every namespace sees the entry",
    "warning: spec.subjectAltNames: is not obeyed yet: connections are not encrypted",
  ]);
  expect(told("ServiceEntry", `{ hosts: [a.com], ports: [${tcp}] }`)).toEqual([
    "warning: spec.ports: TCP without addresses is told apart by its port alone",
  ]);
});

describe("a workload entry", () => {
  const cases: readonly (readonly [spec: string, why: readonly string[]])[] = [
    ["{ address: 10.0.0.1, ports: { http: 80, '7777': 7777 } }", []],
    ["{ address: a.com }", []],
    [
      "{ address: 'unix:///a/b' }",
      ["warning: spec.address: is not called yet: sockets have no ports"],
    ],
    ["{ network: n }", []],
    ["{ locality: eu }", ["spec: must have an address"]],
    ["{ address: 'a b' }", ['spec.address: "a b" is neither a host name nor an IP address']],
    ["{ address: 'unix://a' }", ['spec.address: "unix://a" must have an absolute path']],
    [
      "{ address: 'unix:///a', ports: { http: 80 } }",
      ["spec.ports: must not stand beside the path of a socket"],
    ],
    [
      "{ address: 10.0.0.1, ports: { '@': 80 } }",
      ['spec.ports["@"]: port name "@" must be of letters, digits and inner dashes'],
    ],
    [
      "{ address: 10.0.0.1, ports: { http: 65536 }, weight: -1 }",
      [
        "spec.ports.http: must be between 1 and 65535, not 65536",
        "spec.weight: must be at least 0, not -1",
      ],
    ],
  ];
  test.each(cases)("%s", (spec, why) => {
    expect(told("WorkloadEntry", spec)).toEqual([...why]);
  });
});
