/** The API's port over TLS for tests, with an authority of its own, and clients of every sort. */
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { Identify } from "../api/peer.ts";
import { type Caller, NOBODY } from "../api/principal.ts";
import { type SecureApiServer, type SecureLimits, serveSecureApi } from "../api/serve-secure.ts";
import { systemClock } from "../core/clock.ts";
import { CertificateAuthority, type Issued } from "./certificate-authority.ts";

export const MANAGER_URI = "URI:spiffe://cluster.local/ns/mesh-system/sa/mesh-manager";
export const MANAGER_NAMES = [MANAGER_URI, "DNS:mesh-manager.mesh-system.svc", "IP:127.0.0.1"];

export interface SecureApi {
  readonly authority: CertificateAuthority;
  readonly server: SecureApiServer;
  /** By one request, over a connection of its own; "refused": there was no answer. */
  ask(options?: ConnectionOptions): Promise<string>;
}

/** Answers each request with what `identify` makes of its caller, as JSON. */
export async function openSecureApi(
  identify: Identify = ({ address }) => ({ ...NOBODY, address }),
  limits: Partial<SecureLimits> = {},
): Promise<SecureApi> {
  const authority = new CertificateAuthority();
  const server = await serveSecureApi({
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, identify, limits },
    credential: credentialOf(authority.issue({ name: "m", for: MANAGER_NAMES }), [authority]),
    routes: () => {},
    fetch: ({ url }, caller: Caller = NOBODY) => {
      return Response.json(caller.principal, { status: url.endsWith("/who") ? 200 : 404 });
    },
  });
  return { authority, server, ask: (options) => ask(server.port, options) };
}

export function credentialOf(issued: Issued, authorities: readonly CertificateAuthority[]) {
  const rootPems = authorities.map(({ certificate }) => certificate);
  return { chainPem: issued.chain, keyPem: issued.key, rootPems };
}

export function clientOf({ chain, key }: Issued): ConnectionOptions {
  return { cert: chain, key };
}

function ask(port: number, options: ConnectionOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    let said = "";
    const to = { host: "127.0.0.1", port, rejectUnauthorized: false };
    const socket = connectTls({ ...to, ...options }, () => {
      socket.write("GET /who HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n");
    });
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(/\{.*\}/s.exec(said)?.[0] ?? "refused"));
  });
}
