/** Rules of a given size, as an operator would write them: what the benchmarks load. */

/** 100 services with two instances each, and two route rules for each. */
export function serviceRules(upstreamPort: number, version: "http1" | "http2" = "http1"): string {
  const documents: string[] = [];
  for (let i = 0; i < 100; i++) {
    documents.push(serviceEntry(`svc${i}`, upstreamPort, version));
    documents.push(`apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: svc${i}-test, namespace: default }
spec:
  destination: { name: svc${i} }
  precedence: 2
  match: { request: { headers: { cookie: { regex: "^(.*?;)?(user=test)(;.*)?$" } } } }
  route: [{ labels: { version: v1 } }]
  httpReqTimeout: { simpleTimeout: { timeout: 10s } }`);
    documents.push(`apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: svc${i}-default, namespace: default }
spec:
  destination: { name: svc${i} }
  precedence: 1
  route: [{ labels: { version: v1 }, weight: 90 }, { labels: { version: v2 }, weight: 10 }]`);
  }
  return documents.join("\n---\n");
}

/** One service with `count` route rules by path; the bench asks for the last of the first ten. */
export function pathRules(upstreamPort: number, count: number): string {
  const documents = [serviceEntry("svc42", upstreamPort, "http1")];
  for (let i = 0; i < count; i++) {
    documents.push(`apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: route-${i}, namespace: default }
spec:
  destination: { name: svc42 }
  precedence: ${i}
  match: { request: { headers: { uri: { prefix: /route/${i} } } } }
  route: [{ labels: { version: v1 } }]`);
  }
  return documents.join("\n---\n");
}

function serviceEntry(name: string, upstreamPort: number, version: "http1" | "http2"): string {
  const port = version === "http1" ? "name: http, protocol: HTTP" : "name: http2, protocol: HTTP2";
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: default }
spec:
  hosts: [${name}.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, ${port}, targetPort: ${upstreamPort} }]
  endpoints:
  - { address: 127.0.0.1, labels: { version: v1 } }
  - { address: 127.0.0.2, labels: { version: v2 } }`;
}
