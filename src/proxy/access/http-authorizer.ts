/**
 * An external authorizer over HTTP, as Envoy's ext_authz filter asks one: the request's own method,
 * host and path, with a prefix, and the fields that it is to see. 200 lets it pass; 5xx says that
 * nobody judged; anything else is the denial itself.
 */

import type { HttpAnswer, ReadAnswer } from "../../adapter/http-answer.ts";
import type { ExternalAuthorizer } from "../../api/gen/mesh/v1/access_pb.ts";
import { bytesOfText, textOfBytes } from "../../attribute/byte-text.ts";
import { methodIdOf } from "../../http/method.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import { HeaderEdits } from "../policy/header-edit.ts";
import type { AccessRequest } from "./access-step.ts";
import {
  type AuthorizerAnswer,
  type AuthorizerClient,
  isModest,
  isPassedOn,
  PARTIAL_BODY,
} from "./authorizer.ts";
import { HttpAsker, type HttpAskerOptions } from "./http-asker.ts";
import { NameList } from "./name-list.ts";

/** Names of fields that the answer takes out of the request. */
const TO_REMOVE = "x-envoy-auth-headers-to-remove";
/** They always come with a denial, whatever else does. */
const withDenial = ["location", "www-authenticate", "content-type"];
const alwaysSent = ["authorization"];

export class HttpAuthorizer implements AuthorizerClient {
  readonly #asker: HttpAsker;
  readonly #pathPrefix: string;
  readonly #showsBody: boolean;
  readonly #sent: NameList;
  /** Whole lines, in place of the client's. */
  readonly #added: string;
  readonly #addedNames: ReadonlySet<string>;
  readonly #toUpstream: NameList;
  readonly #toDownstream: NameList;
  readonly #ofDenial: NameList;

  constructor(rule: ExternalAuthorizer, options: HttpAskerOptions) {
    this.#asker = new HttpAsker(options);
    this.#pathPrefix = rule.pathPrefix.replace(/\/$/, "");
    this.#showsBody = rule.body !== undefined;
    this.#sent = new NameList([...alwaysSent, ...rule.includeRequestHeaders]);
    const added = rule.additionalHeaders.map(({ name, value }) => ({
      ...{ name, value, operation: "replace" as const },
    }));
    this.#added = textOfBytes(new HeaderEdits().add(added).lines);
    this.#addedNames = new Set(added.map(({ name }) => name.toLowerCase()));
    this.#toUpstream = new NameList(rule.headersToUpstreamOnAllow);
    this.#toDownstream = new NameList(rule.headersToDownstreamOnAllow);
    const denial = rule.headersToDownstreamOnDeny;
    this.#ofDenial = new NameList(denial.length === 0 ? ["*"] : [...withDenial, ...denial]);
  }

  ask(request: AccessRequest, onAnswer: (answer: AuthorizerAnswer) => void): () => void {
    const { bytes, start, methodEnd } = request.head;
    return this.#asker.ask({
      octets: this.#question(request),
      method: methodIdOf(bytes, start, methodEnd),
      onAnswer: (answer) => onAnswer(this.#read(answer)),
    });
  }

  close(): void {
    this.#asker.close();
  }

  #question(request: AccessRequest): Uint8Array {
    const { method, target, authority, body } = request;
    const path = target.startsWith("/") ? target : "/";
    let head = `${method} ${this.#pathPrefix}${path} HTTP/1.1\r\nhost: ${authority}\r\n`;
    for (const [name, value] of this.#fields(request)) head += `${name}: ${value}\r\n`;
    if (this.#showsBody) head += `${PARTIAL_BODY}: ${request.bodyIsPartial}\r\n`;
    const content = this.#showsBody ? body : NO_BYTES;
    head += `${this.#added}content-length: ${content.length}\r\n\r\n`;
    const octets = bytesOfText(head);
    return content.length === 0 ? octets : Buffer.concat([octets, content]);
  }

  *#fields({ headers }: AccessRequest): Iterable<readonly [name: string, value: string]> {
    if (this.#sent.hasPatterns) {
      for (const [name, value] of headers.entries())
        if (this.#sent.has(name) && this.#isSent(name)) yield [name, value];
      return;
    }
    for (const name of this.#sent.exact) {
      const value = this.#isSent(name) ? headers.get(name) : undefined;
      if (value !== undefined) yield [name, value];
    }
  }

  #isSent(name: string): boolean {
    return isPassedOn(name) && name !== PARTIAL_BODY && !this.#addedNames.has(name);
  }

  #read(answer: ReadAnswer): AuthorizerAnswer {
    if ("why" in answer) return { at: "failed", why: answer.why };
    const { status } = answer;
    if (status === 200) return this.#passed(answer);
    if (status >= 500) return { at: "failed", why: `it answered ${status}` };
    const said = changesOf(answer, this.#ofDenial, "append");
    const changes = isModest(said) ? said : [];
    const lines = textOfBytes(new HeaderEdits().add(changes).lines);
    return { at: "denied", status, body: textOfBytes(answer.body), lines };
  }

  #passed(answer: HttpAnswer): AuthorizerAnswer {
    const removed = answer.fields
      .filter(([name]) => name === TO_REMOVE)
      .flatMap(([, names]) => names.split(","))
      .map((name) => name.trim().toLowerCase())
      .filter((name) => name !== "" && isPassedOn(name));
    const requestHeaders: HeaderChange[] = removed.map((name) => ({
      ...{ name, value: "", operation: "remove" },
    }));
    requestHeaders.push(...changesOf(answer, this.#toUpstream, "replace"));
    const responseHeaders = changesOf(answer, this.#toDownstream, "replace");
    return { at: "passed", requestHeaders, responseHeaders };
  }
}

const NO_BYTES = new Uint8Array(0);

/** Several of one name come one after another, whatever the first does to those from elsewhere. */
function changesOf(
  { fields }: HttpAnswer,
  names: NameList,
  first: "replace" | "append",
): HeaderChange[] {
  if (names.isEmpty) return [];
  const seen = new Set<string>();
  return fields
    .filter(([name]) => isPassedOn(name) && name !== TO_REMOVE && names.has(name))
    .map(([name, value]) => {
      const operation = seen.has(name) ? "append" : first;
      seen.add(name);
      return { name, value, operation };
    });
}
