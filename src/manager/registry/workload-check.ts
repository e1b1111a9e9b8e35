/** What is wrong with a registration, all of it at once: it comes from the network. */
import { isIP } from "node:net";
import type { Workload } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Protocol } from "../../model/service.ts";

const PROTOCOLS: ReadonlySet<string> = new Set<Protocol>([
  "HTTP",
  "HTTP2",
  "GRPC",
  "HTTPS",
  "TLS",
  "TCP",
  "MONGO",
  "REDIS",
  "MYSQL",
]);

const HOST =
  /^(?=.{1,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/i;
const ACCOUNT = /^(?=.{1,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/)?[a-z0-9][-a-z0-9.]*$/i;
const LABEL = /^[-A-Za-z0-9_./]*$/;
const LABELS_MAX = 64;
const TEXT_MAX = 253;

export function checkWorkload(workload: Workload): readonly string[] {
  const problems: string[] = [];
  const expect = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  const { id, service, namespace, address, port, servicePort, locality, serviceAccount, appPort } =
    workload;
  expect(id !== "" && id.length <= TEXT_MAX, "id: 1 to 253 characters are needed");
  expect(HOST.test(service), `service: ${quote(service)} is not a host name`);
  expect(namespace === "" || HOST.test(namespace), `namespace: ${quote(namespace)} is not a name`);
  expect(
    isIP(address) !== 0 || HOST.test(address),
    `address: ${quote(address)} is neither an IP address nor a host name`,
  );
  expect(port >= 1 && port <= 65_535, `port: ${port} is not in 1..65535`);
  expect(appPort <= 65_535, `app_port: ${appPort} is not in 0..65535`);
  expect(servicePort <= 65_535, `service_port: ${servicePort} is not in 0..65535`);
  expect(
    serviceAccount === "" || ACCOUNT.test(serviceAccount),
    `service_account: ${quote(serviceAccount)} is not "account" or "namespace/account"`,
  );
  expect(locality.length <= TEXT_MAX, "locality: at most 253 characters");
  expect(
    workload.protocol === "" || isProtocol(workload.protocol.toUpperCase()),
    `protocol: ${quote(workload.protocol)} is none of ${[...PROTOCOLS].join(" ").toLowerCase()}`,
  );
  const labels = Object.entries(workload.labels);
  expect(labels.length <= LABELS_MAX, `labels: at most ${LABELS_MAX}`);
  for (const [key, value] of labels)
    expect(
      key !== "" && key.length <= TEXT_MAX && LABEL.test(key) && LABEL.test(value),
      `labels: ${quote(`${key}=${value}`)} has characters other than letters, digits and -_./`,
    );
  return problems;
}

/** What a workload speaks; HTTP unless it says otherwise. */
export function protocolOf({ protocol }: Workload): Protocol {
  const name = protocol.toUpperCase();
  return isProtocol(name) ? name : "HTTP";
}

function isProtocol(name: string): name is Protocol {
  return PROTOCOLS.has(name);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
