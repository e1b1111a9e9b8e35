/** Who may open a connection that is passed on as it is: asked once, when it begins. */
import { parseShortestIpAddress } from "../../attribute/ip-address.ts";
import type { Authorizer } from "../../policy/authorization/authorizer.ts";
import { decisionText } from "../../policy/authorization/decision.ts";
import { type AuthorizationFacts, noRequest } from "../../policy/authorization/facts.ts";
import type { ConnectionFacts } from "../policy/connection-facts.ts";
import type { DenialWatch } from "./denial-watch.ts";
import { refusedBy } from "./request-gate.ts";

export interface RelayCall {
  readonly connection: ConnectionFacts;
  /** Where the client wanted to go; undefined: where it came in. */
  readonly destination: { readonly address: string } | undefined;
  readonly port: number;
  readonly serverName: string;
  /** Since 1970. */
  readonly wallMs: number;
}

/** What relays ask. */
export interface RelayAccess {
  /** Who refuses it, for the log; undefined: it may go on. */
  refuse(call: RelayCall): string | undefined;
}

/** Nobody has said yet who may call: nobody may. */
export const shutRelays: RelayAccess = { refuse: () => "no configuration yet" };

export class RelayGate implements RelayAccess {
  readonly #authorizer: Authorizer;
  readonly #watch: DenialWatch;

  constructor(authorizer: Authorizer, watch: DenialWatch) {
    this.#authorizer = authorizer;
    this.#watch = watch;
  }

  refuse(call: RelayCall): string | undefined {
    const facts = factsOf(call);
    const authorizer = this.#authorizer;
    const decision = authorizer.decide(facts);
    this.#tell(facts);
    if (decision.allowed) return undefined;
    const by = refusedBy(decision);
    const { connection, port, serverName } = call;
    this.#watch.denied({
      ...{ id: "", timeMs: call.wallMs, kind: "authorization", status: 0 },
      ...{ by: by.object, rule: by.rule, place: by.place, reason: by.reason },
      principal: connection.principal,
      sourceAddress: connection.source.address,
      remoteAddress: connection.source.address,
      ...{ port, serverName, method: "", host: "", path: "", hasToken: false },
    });
    return decisionText(decision);
  }

  #tell(facts: AuthorizationFacts): void {
    const authorizer = this.#authorizer;
    if (!authorizer.watches) return;
    const audited = authorizer.audit(facts);
    if (audited !== undefined) this.#watch.audited(audited, facts);
    const shadow = authorizer.shadow(facts);
    if (shadow !== undefined && shadow.allowed !== authorizer.decide(facts).allowed)
      this.#watch.wouldBe(shadow, facts);
  }
}

function factsOf({ connection, destination, port, serverName }: RelayCall): AuthorizationFacts {
  const { principal, parts, sourceIp, localIp } = connection;
  return {
    ...noRequest,
    ...parts,
    principal,
    sourceIp,
    remoteIp: sourceIp,
    destinationIp:
      destination === undefined ? localIp : parseShortestIpAddress(destination.address),
    destinationPort: port,
    serverName: serverName || connection.serverName,
  };
}
