/**
 * HTTPAPISpecs, compiled: service, method and path of a request ─▶ what its API calls the
 * operation, as attributes; and where its key is. Spec table: mixer 2.7.
 */
import { Fault } from "../../attribute/fault.ts";
import type { Value, ValueType } from "../../attribute/value.ts";
import { compileRegex } from "../../expression/standard-function.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { ConstantAttributes, HttpApiSpec } from "../../model/http-api-spec.ts";
import type { BoundSpec } from "../../policy/resolved-policy.ts";
import type { Reader } from "./exchange-bag.ts";
import type { ExchangeFacts } from "./exchange-facts.ts";
import { methodOf, RequestFields } from "./field-map.ts";
import { textOf } from "./head-text.ts";
import { QueryMap } from "./query-map.ts";

export type ApiAttributes = ReadonlyMap<string, Value>;

const API_KEY = "request.api_key";
const nothing: ApiAttributes = new Map();

interface Pattern {
  readonly method: string;
  readonly matches: (path: string) => boolean;
  readonly attributes: ConstantAttributes;
}

interface Api {
  readonly attributes: ConstantAttributes;
  readonly patterns: readonly Pattern[];
  readonly keys: HttpApiSpec["apiKeys"];
}

/** Where keys are if a spec does not say. */
const defaultKeys: HttpApiSpec["apiKeys"] = [
  { in: "query", name: "key" },
  { in: "query", name: "api_key" },
  { in: "header", name: "x-api-key" },
];

export class ApiSpecs {
  /** By full host name; "*": of all. */
  readonly #byService = new Map<string, Api[]>();
  /** What requests may get by them. */
  readonly readers = new Map<string, readonly [ValueType, Reader<ExchangeFacts>]>();
  readonly #fields = new RequestFields();
  readonly #query = new QueryMap();

  constructor(specs: readonly BoundSpec<HttpApiSpec>[]) {
    for (const { services, spec } of specs) {
      const api = compileApi(spec);
      for (const service of services) {
        const known = this.#byService.get(service) ?? [];
        known.push(api);
        this.#byService.set(service, known);
      }
      this.#addReader(API_KEY, "STRING");
      for (const attributes of [api.attributes, ...api.patterns.map((one) => one.attributes)])
        for (const [name, { type }] of Object.entries(attributes)) this.#addReader(name, type);
    }
  }

  #addReader(name: string, type: ValueType): void {
    if (this.readers.has(name)) return;
    const read: Reader<ExchangeFacts> = (facts) => {
      facts.api ??= this.#match(facts);
      return facts.api.get(name);
    };
    this.readers.set(name, [type, read]);
  }

  /** Of several specs the first that says something of an attribute counts. */
  #match({ requestHead: head, service, fromEdge }: ExchangeFacts): ApiAttributes {
    const own = this.#byService.get(service?.host ?? "") ?? [];
    const apis = [...own, ...(this.#byService.get("*") ?? [])];
    if (head === undefined || apis.length === 0) return nothing;
    const method = methodOf(head);
    const path = textOf(head.bytes, head.pathStart, head.pathEnd);
    const found = new Map<string, Value>();
    for (const { attributes, patterns, keys } of apis) {
      const pattern = patterns.find((one) => one.method === method && one.matches(path));
      add(found, pattern?.attributes);
      add(found, attributes);
      const key = found.has(API_KEY) ? undefined : this.#keyOf(head, keys, fromEdge);
      if (key !== undefined) found.set(API_KEY, key);
    }
    return found;
  }

  #keyOf(head: MessageHead, keys: Api["keys"], fromEdge: boolean): string | undefined {
    const fields = this.#fields.of(head, fromEdge);
    const hasQuery = head.queryStart !== -1;
    const query = hasQuery ? textOf(head.bytes, head.queryStart, head.queryEnd) : "";
    for (const { in: place, name } of keys) {
      const key =
        place === "query"
          ? this.#query.of(query).get(name)
          : place === "header"
            ? fields.get(name)
            : cookieOf(fields.get("cookie") ?? "", name);
      if (key !== undefined) return key;
    }
    return undefined;
  }
}

function add(found: Map<string, Value>, attributes: ConstantAttributes | undefined): void {
  for (const [name, { value }] of Object.entries(attributes ?? {}))
    if (!found.has(name)) found.set(name, value);
}

function compileApi({ attributes, patterns, apiKeys }: HttpApiSpec): Api {
  return {
    attributes,
    patterns: patterns.map(({ method, path, attributes: own }) => ({
      method,
      matches: path.by === "regex" ? regexOf(path.pattern) : templateOf(path.template),
      attributes: own,
    })),
    keys: apiKeys.length === 0 ? defaultKeys : apiKeys,
  };
}

/** Of the whole path. */
function regexOf(pattern: string): Pattern["matches"] {
  const regex = compileRegex(pattern);
  return regex instanceof Fault ? () => false : (path) => regex.matcher(path).matches();
}

/** "/pets/{id}/toys": a variable or "*" is one segment, "**" is all that follow. */
function templateOf(template: string): Pattern["matches"] {
  const wanted = template.split("/");
  const rest = wanted.at(-1) === "**" || /^\{[^}=]*=\*\*\}$/.test(wanted.at(-1) ?? "");
  const fixed = rest ? wanted.slice(0, -1) : wanted;
  const any = fixed.map((segment) => segment === "*" || /^\{.*\}$/.test(segment));
  return (path) => {
    const segments = path.split("/", fixed.length + 1);
    if (rest ? segments.length < fixed.length : segments.length !== fixed.length) return false;
    return fixed.every((segment, i) => (any[i] ? segments[i] !== "" : segments[i] === segment));
  };
}

function cookieOf(cookies: string, name: string): string | undefined {
  for (const pair of cookies.split(";")) {
    const equals = pair.indexOf("=");
    if (equals !== -1 && pair.slice(0, equals).trim() === name)
      return pair.slice(equals + 1).trim();
  }
  return undefined;
}
