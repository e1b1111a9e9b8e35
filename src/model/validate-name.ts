/**
 * Which names may be written: DNS labels, host names, wildcard hosts, labels of instances. Each
 * check answers what is wrong, in words that follow the value, or undefined.
 * Spec tables: manager 1.2, 1.3, 1.11.
 */

/** Undefined: nothing is wrong. */
export type Complaint = string | undefined;

const lowerLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const anyCaseLabel = /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const labelSyntax = /^[-A-Za-z0-9_./]*$/;

/** The letters a DNS label may have: Istio 0.1 to 0.3 took lower case alone. */
export type LetterCase = "lower" | "any";

export function isDnsLabel(text: string, letters: LetterCase = "any"): boolean {
  return text.length <= 63 && (letters === "lower" ? lowerLabel : anyCaseLabel).test(text);
}

export function checkDnsLabel(text: string, letters: LetterCase = "any"): Complaint {
  if (text === "") return "must not be empty";
  if (text.length > 63) return "is longer than 63 characters";
  if (isDnsLabel(text, letters)) return undefined;
  return letters === "lower"
    ? "must be of lower-case letters, digits and inner dashes"
    : "must be of letters, digits and inner dashes";
}

/** A name of an object: a DNS label in lower case; with `dots`, several. */
export function checkObjectName(text: string, dots: boolean): Complaint {
  if (!dots) return checkDnsLabel(text, "lower");
  if (text.length > 253) return "is longer than 253 characters";
  return checkLabels(text, "lower");
}

export function checkFqdn(text: string, letters: LetterCase = "any"): Complaint {
  if (text === "") return "must not be empty";
  if (text.length > 255) return "is longer than 255 characters";
  return checkLabels(text, letters);
}

function checkLabels(text: string, letters: LetterCase): Complaint {
  for (const label of text.split(".")) {
    const complaint = checkDnsLabel(label, letters);
    if (complaint !== undefined) return text === label ? complaint : `part "${label}" ${complaint}`;
  }
  return undefined;
}

/** "*", "*.example.com", "*-x.example.com", "*x.example.com", or a plain name. */
export function checkWildcardDomain(text: string): Complaint {
  if (text === "") return "must not be empty";
  if (text.length > 255) return "is too long: more than 255 characters";
  const dot = text.indexOf(".");
  const first = dot === -1 ? text : text.slice(0, dot);
  if (!isWildcardLabel(first)) return `has an invalid first part "${first}"`;
  if (dot === -1) return undefined;
  const rest = text.slice(dot + 1);
  const complaint = checkLabels(rest, "any");
  if (complaint === undefined) return undefined;
  const why = rest.includes("*") ? "only the first part may have a wildcard" : complaint;
  return `is invalid: ${why}`;
}

/**
 * As networking.istio.io has domains: a dot may end them, and the last part is no number, since
 * that would be an IP address, or the beginning of one.
 */
export function checkModernDomain(text: string, wildcard: "wildcard" | "full"): Complaint {
  const domain = text.length > 1 && text.endsWith(".") ? text.slice(0, -1) : text;
  const last = domain.slice(domain.lastIndexOf(".") + 1);
  const complaint = wildcard === "full" ? checkFqdn(domain) : checkWildcardDomain(domain);
  if (complaint !== undefined) return complaint;
  return /^\d+$/.test(last) ? `is invalid: its last part "${last}" is a number` : undefined;
}

function isWildcardLabel(label: string): boolean {
  if (label === "*") return true;
  if (label.startsWith("*-")) return isDnsLabel(label.slice(2));
  return isDnsLabel(label.startsWith("*") ? label.slice(1) : label);
}

/** One label of instances: "version: v1". */
export function checkLabel(key: string, value: string): Complaint {
  if (key === "") return "has an empty key";
  const bad = [key, value].find((text) => !labelSyntax.test(text));
  return bad === undefined ? undefined : `"${bad}" may have letters, digits and - _ . / only`;
}

const qualifiedName = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** One label as Kubernetes allows it: "app.kubernetes.io/name: reviews". */
export function checkKubernetesLabel(key: string, value: string): Complaint {
  const slash = key.indexOf("/");
  const prefix = slash === -1 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  if (key === "") return "has an empty key";
  if (prefix !== undefined && checkFqdn(prefix, "lower") !== undefined)
    return `key "${key}" has a prefix that is not a domain`;
  if (!qualifiedName.test(name)) return `key "${key}" is not a label's name`;
  return value === "" || qualifiedName.test(value)
    ? undefined
    : `value "${value}" must begin and end with a letter or digit, and be of those and - _ .`;
}

/** A port's name: a DNS label. */
export function checkPortName(text: string): Complaint {
  return checkDnsLabel(text);
}
