/** A gateway's part of a configuration: its listeners, their hosts, and whom it believes. */
import { describe, expect, test } from "bun:test";
import { head, problemsOf, published } from "../../testing/snapshot-sample.ts";
import type { Snapshot } from "./snapshot.ts";

type Json = Parameters<typeof published>[0];

const toV1 = { forward: { clusters: [{ cluster: "v1" }] } };

describe("a gateway", () => {
  const toV1At = (listener: string, name: string, domains: string[]) => ({
    name,
    domains,
    listener,
    routes: [{ name: "r", ...toV1 }],
  });
  const http = { name: "http-80", port: 80, protocol: "PROTOCOL_HTTP" };
  const https = {
    name: "https-443",
    port: 443,
    protocol: "PROTOCOL_HTTPS",
    certificates: [{ name: "c.default", hosts: ["a.example"] }],
  };
  const edgeOf = (listeners: object[], virtualHosts: object[], rest = {}): Json =>
    JSON.parse(
      JSON.stringify({
        settings: { gateway: { listeners, ...rest } },
        clusters: [{ name: "v1" }],
        endpointSets: [{ cluster: "v1", endpoints: [{ address: "10.0.0.1", port: 80 }] }],
        virtualHosts,
      }),
    );
  const hosts = [
    toV1At("http-80", "a:80", ["a.example", "a.example:80"]),
    toV1At("https-443", "a:443", ["a.example", "a.example:443"]),
    toV1At("https-443", "any:443", ["*"]),
    toV1At("", "inside", ["a.example"]),
  ];

  function hostAt(snapshot: Snapshot, listener: number, authority: string): string | undefined {
    return snapshot.edges[listener]!.findVirtualHost(head("GET /", `Host: ${authority}`))?.name;
  }

  test("has listeners, each with hosts of its own, at whatever port it is reached", () => {
    const snapshot = published(edgeOf([http, https], hosts));
    expect(snapshot.edges.map(({ facts }) => facts)).toEqual([
      {
        name: "http-80",
        port: 80,
        secure: false,
        proxied: false,
        passesTls: false,
        certificates: [],
      },
      {
        name: "https-443",
        port: 443,
        secure: true,
        proxied: false,
        passesTls: false,
        certificates: [{ name: "c.default", hosts: ["a.example"] }],
      },
    ]);
    for (const authority of ["a.example", "A.example:80", "a.example:8080"]) {
      expect(hostAt(snapshot, 0, authority)).toBe("a:80");
      expect(hostAt(snapshot, 1, authority)).toBe("a:443");
    }
    expect(hostAt(snapshot, 0, "b.example")).toBeUndefined();
    expect(hostAt(snapshot, 1, "b.example")).toBe("any:443");
    expect(snapshot.findVirtualHost(Buffer.from("a.example"), 0, 9, 80)?.name).toBe("inside");
    const again = published(edgeOf([http, https], hosts), { former: snapshot });
    expect(again.edgeHosts).toBe(snapshot.edgeHosts);
    expect(published({}).edges).toEqual([]);
  });

  test("believes as many proxies as the mesh says, and no more than 64", () => {
    const rules = { trustedProxies: 2, clientCertDetails: "CLIENT_CERT_DETAILS_APPEND_FORWARD" };
    expect(published(edgeOf([http], [], rules)).settings.edge).toEqual({
      trustedProxies: 2,
      clientCert: "APPEND_FORWARD",
    });
    const many = published(edgeOf([http], [], { trustedProxies: 65 })).settings.edge;
    expect(many).toEqual({ trustedProxies: 64, clientCert: "SANITIZE_SET" });
    expect(published({}).settings.edge.trustedProxies).toBe(0);
  });

  test("that cannot be is reported, all at once", () => {
    const wrong = edgeOf(
      [
        { ...http, port: 0, protocol: "PROTOCOL_UNSPECIFIED" },
        { ...http, port: 81, certificates: [{ name: "" }], passesTls: true },
        { ...https, certificates: [] },
        { ...https, name: "other" },
      ],
      [toV1At("nowhere", "a", ["a"]), toV1At("other", "b", ["b"]), toV1At("other", "c", ["b"])],
    );
    expect(
      problemsOf(wrong)
        .map((line) => line.replace(/^.*?: /, ""))
        .toSorted(),
    ).toEqual([
      "settings.gateway.listeners[http-80]: 0 is not a port",
      "settings.gateway.listeners[http-80]: a certificate has no name",
      "settings.gateway.listeners[http-80]: another listener has this name",
      "settings.gateway.listeners[http-80]: has certificates and speaks no TLS",
      "settings.gateway.listeners[http-80]: passes TLS on and speaks none",
      "settings.gateway.listeners[http-80]: protocol 0",
      "settings.gateway.listeners[https-443]: speaks TLS and has no certificate",
      "settings.gateway.listeners[other]: another listener has port 443",
      'virtual_hosts: no listener is named "nowhere"',
      'virtual_hosts[c].domains[0]: "b" is a domain of "b" already',
    ]);
  });
});
