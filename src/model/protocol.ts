/** How a port's protocol is written, and read off its name. Spec tables: manager 2.1, 2.3. */
import type { Protocol } from "./service.ts";

/**
 * In upper case ─▶ what it is to us. gRPC-Web is HTTP, whose version the client chooses; a port for
 * requests to a forward proxy is HTTP as well.
 */
const words: ReadonlyMap<string, Protocol> = new Map([
  ["HTTP", "HTTP"],
  ["HTTP_PROXY", "HTTP"],
  ["HTTP2", "HTTP2"],
  ["GRPC", "GRPC"],
  ["GRPC-WEB", "HTTP"],
  ["HTTPS", "HTTPS"],
  ["TLS", "TLS"],
  ["TCP", "TCP"],
  ["MONGO", "MONGO"],
  ["REDIS", "REDIS"],
  ["MYSQL", "MYSQL"],
  ["UDP", "UDP"],
]);

export const protocolWords: readonly string[] = [...words.keys()];

/** In any case: "http", "gRPC-Web". */
export function parseProtocol(word: string): Protocol | undefined {
  return words.get(word.toUpperCase());
}

/** The server speaks first there, so that nothing can be learned from the client. */
const serverFirst: readonly number[] = [25, 53, 3_306, 27_017];

/** "http-admin" says HTTP, "httpadmin" nothing; then some numbers say TCP. */
export function protocolOfPort(name: string, number: number): Protocol | undefined {
  const [first = "", second] = name.split("-");
  const two = second === undefined ? undefined : parseProtocol(`${first}-${second}`);
  return two ?? parseProtocol(first) ?? (serverFirst.includes(number) ? "TCP" : undefined);
}

/** A port of a Kubernetes Service. */
export interface KubernetesPort {
  readonly name: string;
  readonly number: number;
  /** "TCP", "UDP", "SCTP"; "": TCP. */
  readonly transport: string;
  /** "http", "kubernetes.io/h2c"; "": none is declared. */
  readonly appProtocol: string;
}

/** Names that Kubernetes itself gives to application protocols. */
const standardProtocols: ReadonlyMap<string, Protocol> = new Map([
  ["kubernetes.io/h2c", "HTTP2"],
  ["kubernetes.io/ws", "HTTP"],
  ["kubernetes.io/wss", "HTTPS"],
]);

/** Undefined: nothing is declared, so that the first bytes have to tell. */
export function protocolOfKubernetesPort(port: KubernetesPort): Protocol | undefined {
  if (port.transport === "UDP") return "UDP";
  const { appProtocol } = port;
  const declared = standardProtocols.get(appProtocol.toLowerCase()) ?? parseProtocol(appProtocol);
  return declared ?? protocolOfPort(port.name, port.number);
}
