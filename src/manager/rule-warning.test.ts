/** What an operator is told of an ingress that is well formed and serves nobody. */
import { expect, test } from "bun:test";
import { readDocuments } from "../dialect/read.ts";
import type { Service } from "../model/service.ts";
import { ruleWarnings } from "./rule-warning.ts";

const shop: Service = {
  host: "shop.default.svc.cluster.local",
  namespace: "default",
  addresses: [],
  ports: [
    { name: "http", number: 80, protocol: "HTTP" },
    { name: "admin", number: 81, protocol: "HTTP" },
    { name: "raw", number: 82, protocol: "TCP" },
  ],
  resolution: "STATIC",
  external: false,
  registry: "local",
};

function told(text: string): string[] {
  const { configs, problems } = readDocuments(text, { file: "a.yaml", namespace: "default" });
  expect(problems).toEqual([]);
  const registry = { services: [shop], instances: [], origins: new Map() };
  return ruleWarnings(configs, registry).map(({ position, message }) => {
    return `${position.line}: ${message}`;
  });
}

const ingress = (backend: string, metadata = "{ name: web }"): string =>
  `apiVersion: networking.k8s.io/v1beta1
kind: Ingress
metadata: ${metadata}
spec: { backend: { serviceName: shop, ${backend} } }
`;

test("an Ingress without our class is not served, unless the mesh takes any", () => {
  const text = ingress("servicePort: 80");
  expect(told(text)).toEqual([
    "1: has no class, and is not served: ingressControllerMode is STRICT, ours is istio",
  ]);
  expect(told(`${text}---\ningressControllerMode: DEFAULT\n`)).toEqual([]);
});

test("a backend that is not HTTP is never reached", () => {
  const ours = '{ name: web, annotations: { "kubernetes.io/ingress.class": istio } }';
  expect(told(ingress("servicePort: raw", ours))).toEqual([
    "1: default/web-0-0 leads nowhere: " +
      "shop.default.svc.cluster.local does not have an HTTP port raw",
  ]);
  expect(told(ingress("servicePort: 81", ours))).toEqual([]);
  const rule = `apiVersion: config.istio.io/v1alpha2
kind: IngressRule
metadata: { name: web }
spec:
  destination: { name: shop }
`;
  expect(told(rule)).toEqual([
    "5: default/web leads nowhere: shop.default.svc.cluster.local does not have " +
      "exactly one HTTP port",
  ]);
  expect(told(`${rule}  destinationPort: 80\n`)).toEqual([]);
  expect(told(rule.replace("shop", "unknown"))).toEqual([]);
});

test("the PROXY protocol is for connections, which requests share", () => {
  const rule = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop }
spec: { host: shop, trafficPolicy: { proxyProtocol: { version: V2 } } }
`;
  expect(told(rule)).toEqual([
    "4: proxyProtocol is not for requests: shop.default.svc.cluster.local has an HTTP port 80",
  ]);
});
