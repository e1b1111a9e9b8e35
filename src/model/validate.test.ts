/** What may be written as a name, an address, a span of time; and what services may exist. */
import { describe, expect, test } from "bun:test";
import { hostsOverlap, isHostWithin } from "./host-name.ts";
import { parseProtocol, protocolOfPort } from "./protocol.ts";
import type { Service } from "./service.ts";
import {
  checkEgressService,
  checkHost,
  checkIpv4Subnet,
  checkPort,
  checkProxyAddress,
  checkSubnet,
  checkUnixPath,
} from "./validate-address.ts";
import {
  checkConnectTimeout,
  checkDrainDuration,
  checkDuration,
  checkParentAndDrain,
  checkRefreshDelay,
  formatDuration,
  parseDuration,
  toMs,
} from "./validate-duration.ts";
import {
  checkAuthority,
  checkHeaderName,
  checkHeaderValue,
  checkMethod,
  checkPath,
} from "./validate-http.ts";
import {
  type Complaint,
  checkDnsLabel,
  checkFqdn,
  checkKubernetesLabel,
  checkLabel,
  checkModernDomain,
  checkObjectName,
  checkWildcardDomain,
} from "./validate-name.ts";
import { checkEndpointAddress, checkInstance, checkService } from "./validate-service.ts";

const long = (length: number): string => "x".repeat(length);

/** Good ones before the bad ones. */
const words: readonly (readonly [
  what: string,
  check: (text: string) => Complaint,
  good: readonly string[],
  bad: readonly string[],
])[] = [
  [
    "a DNS label of 0.1",
    (text) => checkDnsLabel(text, "lower"),
    ["a", "a-b", "1", long(63)],
    ["", "A", "-a", "a-", "a.b", "a_b", long(64)],
  ],
  ["a DNS label", checkDnsLabel, ["A", "a-B"], ["", "-a", "a.b", long(64)]],
  [
    "a full host name",
    checkFqdn,
    ["a", "a.b-c.d", `${long(63)}.${long(63)}.${long(63)}.${long(63)}`],
    ["", "a..b", ".a", "a.", "*.a", "a.b?", `${long(63)}.${long(63)}.${long(63)}.${long(63)}.x`],
  ],
  [
    "a domain with a wildcard",
    checkWildcardDomain,
    ["*", "*.a.com", "*a.com", "*-a.com", "a.com", "10.0.0.1"],
    ["", `*${long(64)}`, "**", "*.", "a.*.com", "a*.com", "*a*.com", "a.com:80", "*--"],
  ],
  [
    "a domain of today",
    (text) => checkModernDomain(text, "wildcard"),
    ["a.com", "a.com.", "*.a.com", "*", "a1"],
    ["", ".", "a..", "1.1.1.1", "a.1", "*.1", "a.com.."],
  ],
  [
    "a full domain of today",
    (text) => checkModernDomain(text, "full"),
    ["a.com", "a.com."],
    ["", ".", "*.a.com", "a.1"],
  ],
  ["the name of an object of 0.1", (text) => checkObjectName(text, false), ["a-b"], ["a.b", "A"]],
  ["the name of an object", (text) => checkObjectName(text, true), ["a.b"], ["A", "a..b", ""]],
  ["a header's name", checkHeaderName, ["x-a", "x_a"], ["", "X-A", "a b", "a:", "é"]],
  [
    "a header's value",
    checkHeaderValue,
    ["a", "a b", "a\tb", "é"],
    ["", " a", "a ", "a\r\nb: c", "a\0", "a\x7f"],
  ],
  ["a path", checkPath, ["/", "/a?b=c", "a"], ["/a b", "/a\nb", "/\x7f"]],
  ["an authority", checkAuthority, ["", "a.com:80", "[::1]:80"], ["a b", "a/b", "a\r\n", "é"]],
  ["a method", checkMethod, ["GET", "PATCH"], ["get", "FETCH", ""]],
  [
    "an address or block",
    checkSubnet,
    ["1.2.3.4", "1.2.3.4/0", "::1", "2001:db8::/128"],
    ["", "a", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "::/129", "1.2.3.4/8/8"],
  ],
  [
    "an IPv4 block of 0.1",
    (text) => checkIpv4Subnet(text, 1),
    ["1.2.3.4", "1.2.3.4/1", "1.2.3.4/32"],
    ["1.2.3.4/0", "::1", "1.2.3.4/x"],
  ],
  [
    "the address of a proxy",
    checkProxyAddress,
    ["a:1", "a.b:80", "10.0.0.1:65535", "[::1]:80"],
    ["a", "a:", ":80", "a:0", "a:65536", "a:x", "::1:80", "[::1]", "[a]:80", "a..b:80"],
  ],
  [
    "an egress destination",
    checkEgressService,
    ["*.a.com", "a.com", "10.0.0.0/8", "0.0.0.0/0"],
    ["", "a.com/8", "::/8", "10.0.0.0/33", "a.com:80"],
  ],
  ["a host of a gateway", checkHost, ["*.a.com", "1.2.3.4/32", "::1"], ["", "a*", "hello.*"]],
  ["the path of a socket", checkUnixPath, ["/a/b", "@a"], ["", "a", "./a", "/a/"]],
];

describe.each(words)("%s", (_, check, good, bad) => {
  test.each([...good])("may be %p", (text) => {
    expect(check(text)).toBeUndefined();
  });
  test.each([...bad])("may not be %p", (text) => {
    expect(check(text)).toBeString();
  });
});

test("labels: old releases took more than Kubernetes does", () => {
  const takes = (check: typeof checkLabel, key: string, value: string) =>
    check(key, value) === undefined;
  const cases: readonly (readonly [string, string, old: boolean, kubernetes: boolean])[] = [
    ["version", "v1", true, true],
    ["version", "", true, true],
    ["app.kubernetes.io/name", "a", true, true],
    [".a", "b", true, false],
    ["a", "b_", true, false],
    ["a./b", "c", true, false],
    ["", "a", false, false],
    ["^", "a", false, false],
    ["a", "~", false, false],
  ];
  for (const [key, value, old, kubernetes] of cases)
    expect([
      key,
      value,
      takes(checkLabel, key, value),
      takes(checkKubernetesLabel, key, value),
    ]).toEqual([key, value, old, kubernetes]);
});

describe("a span of time", () => {
  const read: readonly (readonly [string, number | undefined])[] = [
    ["1s", 1_000],
    ["2.5s", 2_500],
    ["100ms", 100],
    ["1m30s", 90_000],
    ["1h", 3_600_000],
    ["-1s", -1_000],
    ["0", 0],
    [".5s", 500],
    ["0.000001s", 0.001],
    ["292y", undefined],
    ["1", undefined],
    ["s", undefined],
    ["1 s", undefined],
    ["1s2", undefined],
    ["", undefined],
    ["9223372036.854775807s", 9_223_372_036_854.775],
    ["9223372036.854775808s", undefined],
    [`${"9".repeat(80)}s`, undefined],
  ];
  test.each(read)("%p is %p ms", (text, ms) => {
    const nanoseconds = parseDuration(text);
    expect(nanoseconds === undefined ? undefined : toMs(nanoseconds)).toBe(ms);
  });

  test("is written so that it reads back", () => {
    for (const ms of [1, 25, 1_000, 2_500, 90_000])
      expect(toMs(parseDuration(formatDuration(ms))!)).toBe(ms);
  });

  const limits: readonly (readonly [
    what: string,
    check: (nanoseconds: bigint) => Complaint,
    good: readonly string[],
    bad: readonly string[],
  ])[] = [
    ["in a rule", checkDuration, ["1ms", "1h"], ["0s", "-1s", "1.0001s", "0.1ms"]],
    ["to connect", checkConnectTimeout, ["1ms", "30s"], ["30.001s", "0s"]],
    ["between questions", checkRefreshDelay, ["1s", "10m"], ["0.999s", "10m1s"]],
    ["to drain", checkDrainDuration, ["1s", "1h"], ["0s", "1.5s", "1h1s", "-1s"]],
  ];
  test.each(limits)("%s", (_, check, good, bad) => {
    const refused = (text: string) => check(parseDuration(text)!) !== undefined;
    expect(good.filter(refused)).toEqual([]);
    expect(bad.filter((text) => !refused(text))).toEqual([]);
  });

  test("to shut a parent down is longer than to drain it", () => {
    const told = (parent: string, drain: string) =>
      checkParentAndDrain(parseDuration(parent)!, parseDuration(drain)!).length;
    expect([told("2s", "1s"), told("1s", "1s"), told("1.5s", "-1s")]).toEqual([0, 1, 2]);
  });
});

test("ports are 1 to 65535", () => {
  expect([1, 65_535].map(checkPort)).toEqual([undefined, undefined]);
  for (const port of [0, -1, 65_536, 1.5, Number.NaN]) expect(checkPort(port)).toBeString();
});

describe("services", () => {
  const http = { name: "http", number: 80, protocol: "HTTP" } as const;
  const admin = { name: "admin", number: 81, protocol: "HTTP" } as const;
  const service: Pick<Service, "host" | "ports"> = { host: "a.b", ports: [http, admin] };

  const bad: readonly (readonly [string, typeof service, number])[] = [
    ["without a host", { ...service, host: "" }, 1],
    ["without ports", { ...service, ports: [] }, 1],
    [
      "with a port without a name beside others",
      { ...service, ports: [http, { ...admin, name: "" }] },
      1,
    ],
    ["with a name twice", { ...service, ports: [http, { ...admin, name: "http" }] }, 1],
    ["with a port out of range", { ...service, ports: [{ ...http, number: 0 }] }, 1],
    ["with everything wrong", { host: "^", ports: [{ ...http, name: "^", number: -1 }] }, 3],
  ];
  test.each(bad)("%s are refused, with each reason", (_, one, count) => {
    expect(checkService(one)).toHaveLength(count);
  });

  test("may leave their only port unnamed", () => {
    expect(checkService({ ...service, ports: [{ ...http, name: "" }] })).toEqual([]);
    expect(checkService(service)).toEqual([]);
  });

  test("have instances for ports that they have", () => {
    const endpoint = { port: 8080, servicePort: http, labels: { version: "v1" } };
    expect(checkInstance(endpoint, service)).toEqual([]);
    expect(
      checkInstance({ ...endpoint, servicePort: { ...http, number: 82 } }, service),
    ).toHaveLength(1);
    expect(checkInstance({ ...endpoint, port: -1, labels: { "^": "" } }, undefined)).toHaveLength(
      3,
    );
  });

  test("have instances at addresses or sockets", () => {
    expect(checkEndpointAddress("10.0.0.1", "ip")).toBeUndefined();
    expect(checkEndpointAddress("/a", "unix")).toBeUndefined();
    expect(checkEndpointAddress("/a", "ip")).toBeString();
    expect(checkEndpointAddress("a", "unix")).toBeString();
  });
});

test("a wildcard host means every host that ends so", () => {
  const within: readonly (readonly [string, string, boolean])[] = [
    ["a.com", "*.com", true],
    ["*.a.com", "*.com", true],
    ["*.com", "*.a.com", false],
    ["com", "*.com", false],
    ["a.com", "a.com", true],
    ["a.com", "*", true],
    ["*.a.com", "a.com", false],
  ];
  for (const [narrow, wide, is] of within)
    expect([narrow, wide, isHostWithin(narrow, wide)]).toEqual([narrow, wide, is]);
  expect(hostsOverlap("*.com", "*.a.com")).toBe(true);
  expect(hostsOverlap("*.com", "*.net")).toBe(false);
});

test("a port's protocol is in its name, or in a number whose server speaks first", () => {
  const ports: readonly (readonly [string, number, string | undefined])[] = [
    ["http", 9080, "HTTP"],
    ["http2-a", 1, "HTTP2"],
    ["HTTP-a", 1, "HTTP"],
    ["grpc-web-a", 1, "HTTP"],
    ["httpa", 1, undefined],
    ["", 25, "TCP"],
    ["", 53, "TCP"],
    ["", 3_306, "TCP"],
    ["", 27_017, "TCP"],
    ["", 27_018, undefined],
    ["http", 3_306, "HTTP"],
  ];
  for (const [name, number, protocol] of ports)
    expect([name, number, protocolOfPort(name, number)]).toEqual([name, number, protocol]);
  expect(parseProtocol("gRPC")).toBe("GRPC");
  expect(parseProtocol("Http_Proxy")).toBe("HTTP");
  expect(parseProtocol("constructor")).toBeUndefined();
});
