/**
 * Envoy's RBAC as a decision table: a small interpreter of its configuration, for comparison. It
 * knows the matchers that Istio writes, and throws at any other, so that none is passed over.
 */

/** What a request is to it. */
export interface RbacRequest {
  /** "spiffe://cluster.local/ns/default/sa/web"; "": none. */
  readonly principal: string;
  readonly sourceIp: string;
  readonly remoteIp: string;
  readonly destinationIp: string;
  readonly port: number;
  readonly serverName: string;
  /** With ":authority" and ":method"; undefined: a connection. */
  readonly headers: ReadonlyMap<string, string> | undefined;
  readonly path: string;
  /** Of filters before: of a token. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

export type Json = Readonly<Record<string, unknown>>;

/** The name of the first policy of `rules` that matches. */
export function matchingPolicy(rules: Json | undefined, request: RbacRequest): string | undefined {
  for (const [name, policy] of Object.entries((rules?.policies ?? {}) as Json)) {
    const { permissions, principals } = policy as { permissions: Json[]; principals: Json[] };
    const isPermitted = permissions.some((one) => matches(one, request));
    if (isPermitted && principals.some((one) => matches(one, request))) return name;
  }
  return undefined;
}

/** A permission or a principal: they have the same shape. */
function matches(matcher: Json, request: RbacRequest): boolean {
  const entries = Object.entries(matcher);
  if (entries.length !== 1) throw new Error(`a matcher has one field: ${JSON.stringify(matcher)}`);
  const [name, of] = entries[0]! as [string, never];
  const judge = matchers[name];
  if (judge === undefined) throw new Error(`no matcher ${name}`);
  return judge(of, request);
}

type Judge = (of: never, request: RbacRequest) => boolean;
interface Cidr {
  readonly addressPrefix: string;
  readonly prefixLen: number;
}

const matchers: Readonly<Record<string, Judge>> = {
  any: () => true,
  andRules: ({ rules }: { rules: Json[] }, request) => rules.every((one) => matches(one, request)),
  orRules: ({ rules }: { rules: Json[] }, request) => rules.some((one) => matches(one, request)),
  notRule: (rule: Json, request) => !matches(rule, request),
  andIds: ({ ids }: { ids: Json[] }, request) => ids.every((one) => matches(one, request)),
  orIds: ({ ids }: { ids: Json[] }, request) => ids.some((one) => matches(one, request)),
  notId: (id: Json, request) => !matches(id, request),
  authenticated: ({ principalName }: { principalName: Json }, { principal }) =>
    principal !== "" && matchesText(principalName, principal),
  filterState: ({ stringMatch }: { stringMatch: Json }, { principal }) =>
    principal !== "" && matchesText(stringMatch, principal),
  directRemoteIp: (range: Cidr, { sourceIp }) => isWithin(range, sourceIp),
  remoteIp: (range: Cidr, { remoteIp }) => isWithin(range, remoteIp),
  destinationIp: (range: Cidr, { destinationIp }) => isWithin(range, destinationIp),
  destinationPort: (wanted: number, { port }) => port === wanted,
  requestedServerName: (text: Json, { serverName }) => matchesText(text, serverName),
  urlPath: ({ path }: { path: Json }, request) =>
    request.headers !== undefined && matchesText(path, request.path),
  uriTemplate: ({ typedConfig }: { typedConfig: { pathTemplate: string } }, { path }) =>
    templateOf(typedConfig.pathTemplate).test(path),
  header: (header: Json, { headers }) => {
    const value = headers?.get(String(header.name).toLowerCase());
    if (header.presentMatch === true) return value !== undefined;
    if (value === undefined) return false;
    const { safeRegexMatch, stringMatch } = header as { safeRegexMatch?: Json; stringMatch?: Json };
    return matchesText(stringMatch ?? { safeRegex: safeRegexMatch }, value);
  },
  metadata: matchesMetadata,
};

/** Envoy's own words (path_template_rewrite): a segment, and anything. */
function templateOf(template: string): RegExp {
  const pchar = "[a-zA-Z0-9-._~%!$&'()+,;:@=]";
  const parts = template
    .split(/(\*\*|\*)/)
    .map((part) =>
      part === "**" ? `(?:${pchar}|/)*` : part === "*" ? `${pchar}+` : RegExp.escape(part),
    );
  return new RegExp(`^${parts.join("")}$`);
}

function matchesText(matcher: Json, text: string): boolean {
  const { ignoreCase = false, ...how } = matcher;
  const fold = (one: string): string => (ignoreCase === true ? one.toLowerCase() : one);
  const [kind, of] = Object.entries(how)[0]!;
  switch (kind) {
    case "exact":
      return fold(text) === fold(String(of));
    case "prefix":
      return fold(text).startsWith(fold(String(of)));
    case "suffix":
      return fold(text).endsWith(fold(String(of)));
    case "safeRegex": {
      const { regex } = of as { regex: string };
      const isFolded = regex.startsWith("(?i)");
      const source = isFolded ? regex.slice(4) : regex;
      return new RegExp(`^(?:${source})$`, isFolded ? "i" : "").test(text);
    }
    default:
      throw new Error(`no matcher of text ${kind}`);
  }
}

function matchesMetadata(
  { filter, path, value }: { filter: string; path: { key: string }[]; value: Json },
  { metadata }: RbacRequest,
): boolean {
  let at: unknown = metadata[filter];
  for (const { key } of path)
    at = typeof at === "object" && at !== null ? (at as Json)[key] : undefined;
  return at !== undefined && matchesValue(value, at);
}

function matchesValue(matcher: Json, value: unknown): boolean {
  const { stringMatch, listMatch, orMatch } = matcher as {
    stringMatch?: Json;
    listMatch?: { oneOf: Json };
    orMatch?: { valueMatchers: Json[] };
  };
  if (stringMatch !== undefined)
    return typeof value === "string" && matchesText(stringMatch, value);
  if (listMatch !== undefined)
    return Array.isArray(value) && value.some((one) => matchesValue(listMatch.oneOf, one));
  if (orMatch !== undefined) return orMatch.valueMatchers.some((one) => matchesValue(one, value));
  throw new Error(`no matcher of values ${JSON.stringify(matcher)}`);
}

/** Of IPv4 alone: Istio's cases have no other. */
function isWithin({ addressPrefix, prefixLen }: Cidr, address: string): boolean {
  const number = (text: string): number =>
    text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - prefixLen);
  return Math.floor(number(addressPrefix) / size) === Math.floor(number(address) / size);
}
