/** What our resolver says of policy, in the words and with the fields of the original. */
import type { PolicyProblem } from "../../policy/resolve-problem.ts";

/** Undefined: the original has nothing to say about it at this point. */
export function originalText({ object, path, message }: PolicyProblem): string | undefined {
  const [, kind] = object.split(".");
  const [, action] = /^spec\.actions\[(\d+)\]/.exec(path) ?? [];
  if (action !== undefined) return `action='${object}[${action}]': ${message}`;
  if (path === "spec.match") return `rule='${object}'.Match: ${parseText(message)}`;
  if (path === "spec.adapter") return `handler='${object}'.adapter: ${message}`;
  if (path === "spec.template") return `instance='${object}'.template: ${message}`;
  const binding = /^spec\.attributeBindings(?:\.|\[")(.*?)(?:"\])?$/.exec(path)?.[1];
  if (binding !== undefined) return `instance='${object}': ${bindingText(binding, message)}`;
  if (isOfHeader({ path })) return undefined;
  if (kind === "rule") return `rule=${object}: ${message}`;
  return `instance='${object}': ${fieldText(path.replace(/^spec\.(?:params\.)?/, ""), message)}`;
}

function parseText(message: string): string {
  const source = /^unable to parse expression '([\s\S]*)': \d+:\d+: /.exec(message)?.[1];
  return source === undefined ? message : `failed to parse expression '${source}': ${message}`;
}

function bindingText(attribute: string, message: string): string {
  const expression = /^unknown attribute (.*)$/.exec(message)?.[1];
  if (expression === undefined)
    return `error evaluating AttributeBinding: ${message.replace(/\$out\./, `${output}.`)}`;
  const which = `expression '${expression}' for attribute '${attribute}'`;
  return `error evaluating AttributeBinding ${which}: ${message}`;
}

const output = "adapter_template_kubernetes.output";

/** "subject.user" ─▶ 'Subject', 'Subject.User'; "dimensions.a" ─▶ 'Dimensions[a]'. */
function fieldText(path: string, message: string): string {
  const field = goField(path);
  const type = /^evaluated expression type .*/.exec(message)?.[0];
  const text =
    type === undefined
      ? `failed to evaluate expression for field '${field}'; ${message}`
      : `error type checking for field '${field}': E${type.slice(1)}`;
  const [outer, inner] = field.split(".");
  if (inner === undefined) return text;
  return `failed to evaluate expression for field '${outer}'; ${text}`;
}

const mapNames =
  "dimensions|properties|variables|spanTags|monitoredResourceDimensions|" +
  "monitored_resource_dimensions";
const maps = new RegExp(`^(?:(subject|action)\\.)?(${mapNames})(?:\\.(.*)|\\["(.*)"\\])$`);

function goField(path: string): string {
  const [, outer, map, plain, quoted] = maps.exec(path) ?? [];
  const name = (text: string): string =>
    text.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  if (map === undefined) return path.split(".").map(name).join(".");
  const field = `${name(map)}[${plain ?? quoted}]`;
  return outer === undefined ? field : `${name(outer)}.${field}`;
}

/** The original finds it where rules are run, and so it does what a rule then lacks. */
function isOfHeader({ path }: Pick<PolicyProblem, "path">): boolean {
  return /^spec\.re(?:quest|sponse)Header/.test(path);
}

/** Of an instance, for a reason that the original puts in words of its own. */
function isInOtherWords(text: string): boolean {
  const ours = /: (?:failed to evaluate|error type|error evaluating AttributeBinding(?: e|: type))/;
  return /^instance='[^']*': /.test(text) && !ours.test(text);
}

function isAbout(text: string): (problem: PolicyProblem) => boolean {
  return ({ object }) => text.startsWith(`instance='${object}': `);
}

/**
 * Undefined where both say the same. Of a broken instance the original has its first fault only,
 * and of a handler whose adapter is unknown it may have none but what that takes along.
 */
export function differenceOf(
  problems: readonly PolicyProblem[],
  observed: readonly string[],
): string | undefined {
  const headless = new Set(problems.filter(isOfHeader).map(({ object }) => `rule=${object}: `));
  const ours = new Set(problems.flatMap((problem) => originalText(problem) ?? []));
  const wanted = new Set(observed.map((text) => text.replace(/,$/, "")));
  const missing = [...wanted].filter(
    (text) => !ours.has(text) && !(isInOtherWords(text) && problems.some(isAbout(text))),
  );
  const broken = ["handler='", ...wanted].flatMap(
    (text) => /^(?:instance='[^']*'|handler='$)/.exec(text)?.[0] ?? [],
  );
  const more = [...ours].filter(
    (text) =>
      !wanted.has(text) && ![...broken, ...headless].some((start) => text.startsWith(start)),
  );
  if (missing.length > 0) return `does not say: ${missing.join(" | ")}; ${[...ours].join(" | ")}`;
  return more.length > 0 ? `says: ${more.join(" | ")}` : undefined;
}
