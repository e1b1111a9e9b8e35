/**
 * One request as rules of authorization and other steps see it: a view of its scanned head and its
 * connection, pointed at the next one by `about`. A text is made when it is first read.
 */
import { parseShortestIpAddress } from "../../attribute/ip-address.ts";
import type { StringMap } from "../../attribute/value.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import {
  type AuthorizationFacts,
  hostOf,
  normalAuthority,
} from "../../policy/authorization/facts.ts";
import type { VerifiedToken } from "../../policy/jwt/verified-token.ts";
import type { EdgeFields } from "../filter/edge-fields.ts";
import type { ConnectionFacts } from "../policy/connection-facts.ts";
import { authorityOf, methodOf, RequestFields, targetOf } from "../policy/field-map.ts";
import { textOf } from "../policy/head-text.ts";
import { isPreflight } from "../route/cors.ts";
import type { AccessRequest } from "./access-step.ts";

const NO_BYTES = new Uint8Array(0);

export class RequestFacts implements AuthorizationFacts, AccessRequest {
  head: MessageHead = undefined as never;
  connection: ConnectionFacts = undefined as never;
  token: VerifiedToken | undefined = undefined;
  wallMs = 0;
  body: Uint8Array = NO_BYTES;
  bodyIsPartial = false;
  /** Of the workload. */
  destinationPort = 0;
  /** Where the client wanted to go; undefined: where it came in. */
  destination: SocketAddress | undefined = undefined;
  /** At an edge: whom it believes to be the client. */
  edge: EdgeFields | undefined = undefined;
  isHttp2 = false;
  readonly #fields = new RequestFields();
  #method: string | undefined = undefined;
  #path: string | undefined = undefined;
  #authority: string | undefined = undefined;
  #host: string | undefined = undefined;
  #client: string | undefined = undefined;
  #remoteIp: Uint8Array | undefined = undefined;
  #destinationIp: Uint8Array | undefined = undefined;

  /** `head` stays as it is while it is asked about; the fields above are the caller's to set. */
  about(head: MessageHead, connection: ConnectionFacts): this {
    this.head = head;
    this.connection = connection;
    this.#method = undefined;
    this.#path = undefined;
    this.#authority = undefined;
    this.#host = undefined;
    this.#client = undefined;
    this.#remoteIp = undefined;
    this.#destinationIp = undefined;
    return this;
  }

  get principal(): string {
    return this.connection.principal;
  }

  get trustDomain(): string {
    return this.connection.parts.trustDomain;
  }

  get namespace(): string {
    return this.connection.parts.namespace;
  }

  get serviceAccount(): string {
    return this.connection.parts.serviceAccount;
  }

  get sourceIp(): Uint8Array | undefined {
    return this.connection.sourceIp;
  }

  get remoteAddress(): string {
    const { edge } = this;
    if (edge === undefined) return this.connection.source.address;
    this.#client ??= textOf(edge.clientBytes, edge.clientStart, edge.clientEnd);
    return this.#client;
  }

  get remoteIp(): Uint8Array | undefined {
    if (this.edge === undefined) return this.connection.sourceIp;
    this.#remoteIp ??= parseShortestIpAddress(this.remoteAddress);
    return this.#remoteIp;
  }

  get destinationIp(): Uint8Array | undefined {
    const { destination } = this;
    if (destination === undefined) return this.connection.localIp;
    this.#destinationIp ??= parseShortestIpAddress(destination.address);
    return this.#destinationIp;
  }

  get serverName(): string {
    return this.connection.serverName;
  }

  get authority(): string {
    this.#authority ??= normalAuthority(authorityOf(this.head) ?? "");
    return this.#authority;
  }

  get host(): string {
    this.#host ??= hostOf(this.authority);
    return this.#host;
  }

  get method(): string {
    this.#method ??= methodOf(this.head);
    return this.#method;
  }

  get path(): string {
    const { bytes, pathStart, pathEnd } = this.head;
    this.#path ??= pathStart === pathEnd ? "/" : textOf(bytes, pathStart, pathEnd);
    return this.#path;
  }

  get target(): string {
    return targetOf(this.head);
  }

  get scheme(): "http" | "https" {
    const { edge } = this;
    const secure = edge === undefined ? this.head.schemeIsHttps : edge.secure;
    return secure ? "https" : "http";
  }

  get protocol(): string {
    if (this.isHttp2) return "HTTP/2";
    return this.head.minorVersion === 0 ? "HTTP/1.0" : "HTTP/1.1";
  }

  get headers(): StringMap {
    return this.#fields.of(this.head, this.edge !== undefined);
  }

  get isPreflight(): boolean {
    return isPreflight(this.head);
  }

  header(name: string): string | undefined {
    return this.headers.get(name);
  }
}
