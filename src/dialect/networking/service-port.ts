/** Ports of a ServiceEntry, and what an absent protocol means. Spec tables: manager 1.15, 2.3. */

import { didYouMean } from "../../core/suggestion.ts";
import type { Protocol, ServicePort } from "../../model/service.ts";
import { checkPortName } from "../../model/validate-name.ts";
import { message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { integer, text } from "../schema/scalar.ts";
import { portNumber } from "./workload-entry.ts";

/** Spellings in upper case ─▶ what we know them as. */
const protocols: Readonly<Record<string, Protocol>> = {
  HTTP: "HTTP",
  HTTP2: "HTTP2",
  GRPC: "GRPC",
  "GRPC-WEB": "HTTP",
  HTTPS: "HTTPS",
  TLS: "TLS",
  TCP: "TCP",
  MONGO: "MONGO",
  REDIS: "REDIS",
  MYSQL: "MYSQL",
  UDP: "UDP",
};

/** Requests or handshakes name the host, so that one address may serve several. */
const tellHosts: readonly Protocol[] = ["HTTP", "HTTP2", "GRPC", "HTTPS", "TLS"];

/** The server speaks first there, so that nothing can be learned from the client. */
const serverFirst: readonly number[] = [25, 53, 3_306, 27_017];

const protocol: Reader<Protocol | ""> = (place) => {
  const value = text(place);
  if (value === undefined || value === "") return value;
  const found = Object.hasOwn(protocols, value.toUpperCase())
    ? protocols[value.toUpperCase()]
    : undefined;
  if (found === undefined)
    place.error(
      `must be one of ${Object.keys(protocols).join(", ")}, not ${JSON.stringify(value)}`,
      didYouMean(value, Object.keys(protocols)),
    );
  return found;
};

export const servicePort = message({
  number: portNumber,
  protocol,
  name: text,
  targetPort: integer({ least: 0, most: 65_535 }),
});

type Written = NonNullable<ValueOf<typeof servicePort>>;

export interface ReadPort {
  readonly port: ServicePort & { readonly targetPort?: number };
  readonly at: Place;
  readonly tellsHosts: boolean;
}

/** `quiet` where the problems have been reported before. */
export function readPorts(written: readonly Written[], mood?: "quiet"): readonly ReadPort[] {
  const names = new Set<string>();
  const numbers = new Set<number>();
  return written.flatMap((port) => {
    const { name = "", number, targetPort = 0 } = port;
    if (mood !== "quiet") {
      checkNames(port);
      if (names.has(name)) port.at("name").error(`port name "${name}" is given twice`);
      if (number !== undefined && numbers.has(number))
        port.at("number").error(`port ${number} is given twice`);
    }
    names.add(name);
    if (number === undefined) return [];
    numbers.add(number);
    const spoken = port.protocol || protocolOf(name, number);
    return [
      {
        port: { name, number, protocol: spoken, ...(targetPort > 0 && { targetPort }) },
        at: port.at(port.has("protocol") ? "protocol" : undefined),
        tellsHosts: Boolean(port.protocol) && tellHosts.includes(spoken),
      },
    ];
  });
}

function checkNames(port: Written): void {
  const { name } = port;
  if (!port.has("number")) port.at().error("must have a number");
  if (!port.has("name")) port.at().error("must have a name");
  const complaint = name === undefined ? undefined : checkPortName(name);
  if (complaint !== undefined) port.at("name").error(`"${name}" ${complaint}`);
}

/** "http-admin" says HTTP; a port whose server does not speak first is taken for HTTP. */
function protocolOf(name: string, number: number): Protocol {
  const upper = name.toUpperCase();
  const found = Object.keys(protocols)
    .filter((word) => upper === word || upper.startsWith(`${word}-`))
    .sort((a, b) => b.length - a.length)[0];
  if (found !== undefined) return protocols[found]!;
  return serverFirst.includes(number) ? "TCP" : "HTTP";
}
