/**
 * Paths of HAProxy's and Envoy's tests. Those name single operations; ours is one normal form, so a
 * case is judged by what its operation and our form have in common:
 *
 *   merging, dot segments, Envoy's own form ─▶ the recorded result, exactly
 *   one of our steps alone, or a change of spelling ─▶ our form of the recorded result is our form
 *   of what was sent
 *
 * By our strict reading a fragment, a target that is none of RFC 9112 3.2's forms, and a bad escape
 * are refused, whatever a lenient option of theirs does; and a query is forwarded as it was sent.
 */
import { MessageHead } from "../../http/message-head.ts";
import { PathNormalizer, type PathRules, PathVerdict } from "../../http/path-normalization.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { octets } from "../../testing/http1-stream.ts";
import { judgeRequests } from "./http-judgement.ts";
import { asText, fromBase64, type Must, readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface NormalCase {
  readonly name: string;
  readonly operation: string;
  readonly method?: string;
  readonly url: string;
  readonly expect: {
    readonly after?: string;
    readonly after_full?: string;
    readonly status?: string;
    readonly rejected?: boolean;
  };
}

interface TargetCase {
  readonly name: string;
  readonly bytes_b64: string;
  readonly strict_label: { readonly must: Must; readonly why: string };
}

interface Vectors {
  readonly normalise: readonly NormalCase[];
  readonly targets: readonly TargetCase[];
}

const merging: PathRules = {
  normalizes: true,
  mergesSlashes: true,
  escapedSlashes: "KEEP_UNCHANGED",
};
const plain: PathRules = { ...merging, mergesSlashes: false };
const normalizer = new PathNormalizer(8_192);

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const { normalise, targets } = readVectors<Vectors>(path);
  for (const one of normalise) {
    const departs = departure(one);
    if (departs !== undefined) verdicts.skip(one.name, `departs: ${departs}`);
    else verdicts.judge(one.name, judgeNormal(one));
  }
  for (const { name, bytes_b64, strict_label } of targets)
    verdicts.judge(name, judgeTarget(fromBase64(bytes_b64), strict_label));
  return verdicts.result();
}

/** What we do not do to a path or a query, where the case is about it. */
function departure({ operation, url, expect }: NormalCase): string | undefined {
  const { after, status } = expect;
  if (mustRefuse(url)) return undefined;
  if (status === "400") return "escapes in a query are not judged";
  if (after === undefined || after === url) return undefined;
  if (operation === "sort-query") return "a query is forwarded in its order";
  if (operation.startsWith("percent-to-uppercase"))
    return "the case of escapes is kept, as Envoy keeps it";
  return undefined;
}

function judgeNormal(one: NormalCase): string | undefined {
  const { operation, method = "GET", url } = one;
  const rules = operation === "merge-slashes" ? merging : plain;
  const given = normalForm(method, url, rules);
  const { after, after_full: full, rejected } = one.expect;
  if (mustRefuse(url) || rejected === true)
    return given === undefined ? undefined : `must be refused, and is ${given}`;
  if (operation === "remove-query-and-fragment")
    return differ(after, given === undefined ? undefined : pathOf(given));
  const exact = /^(merge-slashes|normalize)/.test(operation) || full !== undefined;
  const wanted = exact ? (full ?? after) : normalForm(method, after ?? url, rules);
  if (given === undefined || wanted === undefined) return differ(wanted, given);
  if (operation.startsWith("percent-decode")) return differ(pathOf(wanted), pathOf(given));
  return differ(wanted, given);
}

/** Neither form of a target nor an escape that everybody reads alike. */
function mustRefuse(url: string): boolean {
  const path = pathOf(url);
  if (url.includes("#") || (url !== "*" && !url.startsWith("/"))) return true;
  return /%(?![0-9a-f]{2})|%00/i.test(path);
}

/** Undefined: refused. */
function normalForm(method: string, target: string, rules: PathRules): string | undefined {
  const head = new MessageHead();
  const bytes = octets(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  if (scanRequestHead(bytes, 0, bytes.length, head) <= 0) return undefined;
  if (normalizer.normalize(head, rules) === PathVerdict.refused) return undefined;
  return head.text(head.targetStart, head.targetEnd);
}

function pathOf(target: string): string {
  return target.split("?")[0] ?? "";
}

function differ(wanted: string | undefined, given: string | undefined): string | undefined {
  return wanted === given ? undefined : `${given ?? "refused"}, not ${wanted ?? "refused"}`;
}

/**
 * Where Host and an absolute target differ RFC 9112 3.2.2 has a proxy choose, and we refuse; and
 * http://:80 names no host, which RFC 9110 4.2.1 has everybody refuse.
 */
function judgeTarget(
  bytes: Uint8Array,
  { must, why }: { readonly must: Must; readonly why: string },
): string | undefined {
  const text = asText(bytes);
  const [, scheme, authority] = /^\S+ (https?):\/\/([^/?#\s]*)/.exec(text) ?? [];
  const host = /\r\nhost: *([^\r\n]*)/i.exec(text)?.[1] ?? "";
  const withPort = (name: string): string =>
    /:\d+$/.test(name) ? name : `${name.replace(/:$/, "")}:${scheme === "https" ? 443 : 80}`;
  const refuses =
    authority !== undefined &&
    (authority.startsWith(":") || withPort(authority) !== withPort(host));
  const also_allowed = must === "normalise" && refuses ? ["reject"] : [];
  return judgeRequests(bytes, { must, also_allowed, why });
}

export const pathSuites: readonly Suite[] = [{ file: "http/paths.json", run }];
