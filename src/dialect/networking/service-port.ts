/** Ports of a ServiceEntry, and what an absent protocol means. Spec tables: manager 1.15, 2.3. */

import { didYouMean } from "../../core/suggestion.ts";
import { parseProtocol, protocolOfPort, protocolWords } from "../../model/protocol.ts";
import type { Protocol, ServicePort } from "../../model/service.ts";
import { checkPortName } from "../../model/validate-name.ts";
import { message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { integer, text } from "../schema/scalar.ts";
import { portNumber } from "./workload-entry.ts";

/** Requests or handshakes name the host, so that one address may serve several. */
const tellHosts: readonly Protocol[] = ["HTTP", "HTTP2", "GRPC", "HTTPS", "TLS"];

const protocol: Reader<Protocol | ""> = (place) => {
  const value = text(place);
  if (value === undefined || value === "") return value;
  const found = parseProtocol(value);
  if (found === undefined)
    place.error(
      `must be one of ${protocolWords.join(", ")}, not ${JSON.stringify(value)}`,
      didYouMean(value, protocolWords),
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
    const spoken = port.protocol || (protocolOfPort(name, number) ?? "HTTP");
    if (spoken === "UDP" && mood !== "quiet")
      port
        .at(port.protocol ? "protocol" : "name")
        .error("UDP is not carried: the mesh routes requests and TCP connections", "leave it out");
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
