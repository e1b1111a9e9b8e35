/** What an application is spoken to in, by what a flag says of it. */
import type { ProxyFlags } from "./flags.ts";

/** gRPC is HTTP/2; TCP is not HTTP at all, and not asked here. */
export function applicationProtocol(protocol: ProxyFlags["protocol"]): "http" | "http2" | "any" {
  if (protocol === undefined || protocol === "tcp") return "any";
  return protocol === "http" ? "http" : "http2";
}
