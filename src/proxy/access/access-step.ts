/**
 * What stands between a request that came in and its route: a row of steps, each of which lets it
 * pass, refuses it, or has to wait for somebody else.
 *
 *   RequestAuthentication ─▶ CUSTOM (ext_authz) ─▶ DENY ─▶ ALLOW ─▶ route
 *                    │             │
 *                    └── waiting ──┴──▶ asker.answered(…), in a later event
 *
 * The stage of the exchange (exchange/access.ts) owns the order, the wait and its limit, what is
 * changed in the head, the reply, log, metrics and the ring of refusals; a step knows of none.
 */
import type { StringMap } from "../../attribute/value.ts";
import type { Clock } from "../../core/clock.ts";
import type { Failure } from "../../core/failure.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { VerifiedToken } from "../../policy/jwt/verified-token.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { MeshIdentity } from "../identity/mesh-identity.ts";
import type { ConnectionFacts } from "../policy/connection-facts.ts";
import type { ServiceClusters } from "./service-clusters.ts";

/**
 * The request that is asked about. A view of what lies in the connection: it holds good until
 * ask() returns, so a step that waits has copied what it still needs by then. Texts are made when
 * they are read.
 */
export interface AccessRequest {
  readonly connection: ConnectionFacts;
  /** As it was scanned: for whoever compares octets. */
  readonly head: MessageHead;
  /** "GET" */
  readonly method: string;
  /** In its normal form, without query. */
  readonly path: string;
  /** Path and query. */
  readonly target: string;
  /** Host and port, in lower case; "": it named none. */
  readonly authority: string;
  readonly scheme: "http" | "https";
  /** "HTTP/1.1", "HTTP/2" */
  readonly protocol: string;
  /** By names in lower case; several of one name are joined as RFC 9110 5.3 says. */
  readonly headers: StringMap;
  /** Of the client behind proxies that are believed, else of the connection. */
  readonly remoteAddress: string;
  /** Since 1970. */
  readonly wallMs: number;
  /** A CORS preflight: it carries no credentials by its nature. */
  readonly isPreflight: boolean;
  /** Of a step before. */
  readonly token: VerifiedToken | undefined;
  /** Where `bodyBytesMax` of the step asks for it: the first octets of the content. */
  readonly body: Uint8Array;
  /** There is more than `body`. */
  readonly bodyIsPartial: boolean;
}

/** It may go on, with what the step says of it. */
export interface AccessPass {
  readonly at: "passed";
  /** Takes the place of what a step before found. */
  readonly token?: VerifiedToken | undefined;
  /** For whom it goes to, and for the steps that follow. */
  readonly requestHeaders?: readonly HeaderChange[];
  /** For whoever called, beside what the upstream answers. */
  readonly responseHeaders?: readonly HeaderChange[];
}

/** A reply of ours instead of an answer. */
export interface AccessRefusal {
  readonly at: "refused";
  /** Its row has the flag, and what callers of gRPC are told. */
  readonly failure: Failure;
  /** 0: the failure's own. */
  readonly status: number;
  /** The standard text for the outside: "Jwt is expired". */
  readonly body: string;
  /** Whole lines, without those about content: "www-authenticate: Bearer …\r\n". */
  readonly lines: string;
  /** Of the body; "": "text/plain", or `lines` say it. */
  readonly contentType: string;
  /** Who refused: for log, metric and operators, never told to the outside. */
  readonly by: RefusedBy;
}

/** Where an operator wrote what refused a request, and why it did. */
export interface RefusedBy {
  /** "RequestAuthentication/default/jwt-example", "ExternalAuthorizer/opa" */
  readonly object: string;
  /** "rule 2"; "": there is but one. */
  readonly rule: string;
  /** "rules/access.yaml:12"; "": not known. */
  readonly place: string;
  /** In plain words, without contents of tokens: "the token expired 40 s ago". */
  readonly reason: string;
}

/** Somebody else has to answer first: `asker` is told, once, and never before ask() returned. */
export interface AccessWaiting {
  readonly at: "waiting";
  /** The exchange is over or waited long enough: nothing is told any more. */
  cancel(): void;
}

export interface AccessAsker {
  answered(answer: AccessPass | AccessRefusal): void;
}

export interface AccessStep {
  /** How much of the content it wants to see; 0: none of it. */
  readonly bodyBytesMax: number;
  /** A request with more than that is refused (413) instead of shown in part. */
  readonly refusesLarger: boolean;
  /** What is said if nobody answers within this time; the step keeps its own, shorter limit too. */
  readonly timeoutMs: number;
  readonly late: AccessPass | AccessRefusal;
  /** Of a request that it refuses: what no log may have, one change after another. */
  hides?(head: MessageHead): HeaderChange | undefined;
  /** Undefined: it passes as it is, which is the usual case and allocates nothing. */
  ask(
    request: AccessRequest,
    asker: AccessAsker,
  ): AccessPass | AccessRefusal | AccessWaiting | undefined;
}

/** What steps are made with; there is one for each thread of a proxy. */
export interface AccessParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whom steps may ask, beside hosts outside of the mesh; absent: nobody. */
  readonly services?: ServiceClusters;
  /** Who asks, to proxies of the mesh; absent: nobody that they would know. */
  readonly identity?: MeshIdentity;
  /** Of the proxy; absent: as they are unless told. */
  readonly flags?: { readonly linkLocalKeys: boolean };
}

/**
 * Makes the steps of each configuration, and keeps what outlives one: keys that were fetched,
 * connections, tokens that were verified. Made with the first configuration that needs it.
 *
 * access/jwt-steps.ts makes them of RequestAuthentications, access/ext-authz-steps.ts of
 * ExternalAuthorizers.
 */
export interface AccessStepMaker<Rules> {
  /** Equal rules get the former step, or one that shares its state. */
  stepFor(rules: Rules): AccessStep;
  close(): void;
}
