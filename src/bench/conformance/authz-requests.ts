/**
 * Requests around what policies say: by chance, from the words of the policies, so that each of
 * their fields is met, missed by a little, and missed. The same seed makes the same requests.
 */
import type {
  AccessRule,
  AuthorizationPolicy,
  Operation,
  Source,
} from "../../api/gen/mesh/v1/access_pb.ts";
import type { Random } from "../../core/random.ts";

export interface GeneratedRequest {
  /** Without "spiffe://". */
  principal: string;
  sourceIp: string;
  remoteIp: string;
  destinationIp: string;
  port: number;
  serverName: string;
  authority: string;
  method: string;
  path: string;
  headers: Record<string, string>;
  /** Claims; undefined: there is no token. */
  token: Record<string, unknown> | undefined;
}

type Field = keyof GeneratedRequest;

export class AuthzRequests {
  readonly #rules: readonly AccessRule[];
  readonly #random: Random;

  constructor(policies: readonly AuthorizationPolicy[], random: Random) {
    this.#rules = policies.flatMap(({ rules }) => rules);
    this.#random = random;
  }

  next(): GeneratedRequest {
    const request: GeneratedRequest = {
      ...{ principal: "", sourceIp: "99.0.0.1", remoteIp: "99.0.0.2", destinationIp: "99.0.0.3" },
      ...{ port: 7_777, serverName: "", authority: "other.host", method: "OTHER", path: "/other" },
      ...{ headers: {}, token: undefined },
    };
    const aims = 1 + (this.#random() < 0.3 ? 1 : 0);
    for (let i = 0; i < aims && this.#rules.length > 0; i++)
      this.#aim(request, this.#pick(this.#rules)!);
    const spoils = Math.floor(this.#random() * 3);
    for (let i = 0; i < spoils; i++) this.#spoil(request);
    return request;
  }

  #aim(request: GeneratedRequest, { from, to, when }: AccessRule): void {
    const source = this.#pick(from);
    if (source !== undefined) this.#aimSource(request, source);
    const operation = this.#pick(to);
    if (operation !== undefined) this.#aimOperation(request, operation);
    for (const { key, values, notValues } of when)
      this.#aimKey(request, key, this.#word(values, notValues));
  }

  #aimSource(request: GeneratedRequest, source: Source): void {
    const principal = this.#word(source.principals, source.notPrincipals);
    if (principal !== undefined) request.principal = principal;
    const parts = {
      domain: this.#word(source.trustDomains, source.notTrustDomains),
      namespace: this.#word(source.namespaces, source.notNamespaces),
      account: this.#word(source.serviceAccounts, source.notServiceAccounts),
    };
    if (Object.values(parts).some((part) => part !== undefined)) {
      const [namespace, account] = parts.account?.split("/") ?? [parts.namespace ?? "any", "any"];
      request.principal = `${parts.domain ?? "cluster.local"}/ns/${namespace}/sa/${account}`;
    }
    request.sourceIp = this.#address(source.ipBlocks, source.notIpBlocks) ?? request.sourceIp;
    request.remoteIp =
      this.#address(source.remoteIpBlocks, source.notRemoteIpBlocks) ?? request.remoteIp;
    const subject = this.#word(source.requestPrincipals, source.notRequestPrincipals);
    if (subject !== undefined) this.#aimKey(request, "request.auth.principal", subject);
  }

  #aimOperation(request: GeneratedRequest, operation: Operation): void {
    request.authority = this.#word(operation.hosts, operation.notHosts) ?? request.authority;
    request.method = this.#word(operation.methods, operation.notMethods) ?? request.method;
    request.path = this.#word(operation.paths, operation.notPaths) ?? request.path;
    request.port = Number(this.#word(operation.ports, operation.notPorts) ?? request.port);
  }

  #aimKey(request: GeneratedRequest, key: string, word: string | undefined): void {
    if (word === undefined) return;
    const address = word.replace(/\/.*$/, "");
    const claims = (): Record<string, unknown> => (request.token ??= { iss: "i", sub: "s" });
    const name = /\[(.*)\]$/.exec(key)?.[1] ?? "";
    if (key === "source.ip") request.sourceIp = address;
    else if (key === "remote.ip") request.remoteIp = address;
    else if (key === "destination.ip") request.destinationIp = address;
    else if (key === "destination.port") request.port = Number(word);
    else if (key === "connection.sni") request.serverName = word;
    else if (key === "source.principal") request.principal = word;
    else if (key === "source.namespace") request.principal = `cluster.local/ns/${word}/sa/any`;
    else if (key.startsWith("request.headers")) request.headers[name.toLowerCase()] = word;
    else if (key === "request.auth.principal") {
      const slash = word.lastIndexOf("/");
      claims().iss = slash === -1 ? word : word.slice(0, slash);
      claims().sub = slash === -1 ? "any" : word.slice(slash + 1) || "any";
    } else if (key === "request.auth.audiences") claims().aud = word;
    else if (key === "request.auth.presenter") claims().azp = word;
    else if (key.startsWith("request.auth.claims")) setClaim(claims(), name.split("]["), word);
  }

  /** One field is as by chance, or of another rule. */
  #spoil(request: GeneratedRequest): void {
    const fields: readonly Field[] = [
      ...(["principal", "sourceIp", "remoteIp", "destinationIp", "port", "serverName"] as const),
      ...(["authority", "method", "path", "headers", "token"] as const),
    ];
    const field = this.#pick(fields)!;
    const other = new AuthzRequests([], this.#random).next();
    const rule = this.#random() < 0.5 ? this.#pick(this.#rules) : undefined;
    if (rule !== undefined) this.#aim(other, rule);
    Object.assign(request, { [field]: other[field] });
  }

  #address(is: readonly string[], not: readonly string[]): string | undefined {
    return this.#word(is, not)?.replace(/\/.*$/, "");
  }

  /** What fits one of `is`, at times one of `not`; undefined: nothing is said of it. */
  #word(is: readonly string[], not: readonly string[]): string | undefined {
    const list = not.length > 0 && (is.length === 0 || this.#random() < 0.2) ? not : is;
    const pattern = this.#pick(list);
    return pattern && this.#instance(pattern);
  }

  #instance(pattern: string): string {
    const filler = this.#pick(["", "x", "x/y", "-"])!;
    if (pattern === "*") return this.#pick(["", "anything"])!;
    if (pattern.includes("{")) {
      const segment = this.#pick(["seg", "", "a/b"])!;
      return pattern.replaceAll("{**}", filler).replaceAll("{*}", segment);
    }
    if (pattern.startsWith("*")) return `${filler}${pattern.slice(1)}`;
    if (pattern.endsWith("*")) return `${pattern.slice(0, -1)}${filler}`;
    return this.#random() < 0.1 ? `${pattern}x` : pattern;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }
}

function setClaim(claims: Record<string, unknown>, path: readonly string[], word: string): void {
  const [first = "", ...rest] = path;
  if (rest.length === 0) claims[first] = first === "iss" || first === "sub" ? word : [word];
  else {
    const inner = { ...(claims[first] as Record<string, unknown> | undefined) };
    claims[first] = inner;
    setClaim(inner, rest, word);
  }
}
