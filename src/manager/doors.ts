/**
 * Every port of the manager, and who is let in where:
 *
 *   --listen         plaintext, loopback   our own user's processes, and whoever shows a token
 *   --secure-listen  TLS, anywhere         workloads by certificate, people by token or certificate
 *   --http           plaintext, loopback   dashboard and REST, as --listen
 *   --metrics        plaintext             figures, to anybody
 */
import { type Address, addressText } from "../api/address.ts";
import type { Identify } from "../api/peer.ts";
import type { Caller, Role } from "../api/principal.ts";
import { serveApi } from "../api/serve.ts";
import { serveFetch } from "../api/serve-fetch.ts";
import { type SecureApiServer, serveSecureApi } from "../api/serve-secure.ts";
import type { Access } from "./access/access.ts";
import { authenticator } from "./access/authenticate.ts";
import type { Identity } from "./identity/identity.ts";
import type { Manager } from "./manager.ts";
import { ManagerMetrics } from "./metrics.ts";
import { apiRoutes } from "./rpc/routes.ts";
import { webApp } from "./web/web-app.ts";

export interface DoorOptions {
  readonly listen: Address;
  readonly secureListen: Address | undefined;
  readonly http: Address | undefined;
  readonly metrics: Address | undefined;
  readonly localUsers: readonly number[];
  readonly roles: ReadonlyMap<string, Role>;
}

export interface DoorParts {
  readonly manager: Manager;
  readonly access: Access;
  readonly identity: Identity;
  /** What is open, to be closed in the opposite order. */
  readonly open: { close(): Promise<void> | void }[];
}

/** Returns words for the operator: where each is. */
export async function openDoors(options: DoorOptions, parts: DoorParts): Promise<string[]> {
  const { manager, access, open } = parts;
  const { clock } = manager.options;
  const identify = identifier(options, parts);
  const web = webApp(manager, access);
  open.push(web);
  const api = {
    clock,
    identify,
    isTrusted: ({ principal: { kind } }: Caller) => kind === "local" || kind === "person",
    interceptors: [access.interceptor],
    routes: apiRoutes(manager, access),
    fetch: web.fetch,
  };
  const plain = await serveApi({ ...options.listen, ...api });
  open.push(plain);
  const words = [`api ${addressText(plain)}`];
  let secure: SecureApiServer | undefined;
  if (options.secureListen !== undefined) {
    const { serving } = parts.identity;
    const address = options.secureListen;
    secure = await serveSecureApi({ ...address, ...api, credential: serving.current() });
    open.push(secure, { close: serving.onChange(() => secure?.use(serving.current())) });
    words.push(`over TLS ${addressText(secure)}`);
  }
  if (options.http !== undefined) {
    const http = serveFetch(options.http, web.fetch, identify);
    open.push(http);
    words.push(`dashboard http://${addressText(http)}/`);
  }
  if (options.metrics !== undefined) {
    const metrics = new ManagerMetrics(manager, {
      audit: () => access.audit.counts,
      secure: secure === undefined ? undefined : () => secure.counts,
    });
    open.push(metrics);
    const server = serveFetch(options.metrics, (request) => metrics.fetch(request));
    open.push(server);
    words.push(`metrics http://${addressText(server)}/metrics`);
  }
  return words;
}

function identifier({ localUsers, roles }: DoorOptions, { manager, identity }: DoorParts) {
  const { clock } = manager.options;
  const { accessTokens: tokens, standing } = identity;
  const own = process.getuid?.() ?? 0;
  const identify: Identify = authenticator({
    wallMs: () => clock.wallMs(),
    uids: new Set([0, own, ...localUsers]),
    tokens,
    trustDomains: () => [identity.options.trustDomain, ...identity.options.aliases()],
    roots: () => standing.roots,
    lapseOf: (certificate) => standing.lapseOf(certificate),
    roles,
  });
  return identify;
}
