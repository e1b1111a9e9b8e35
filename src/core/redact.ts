/**
 * Secrets are taken out of whatever is shown: logs, dumps, pages. By their looks, in any text
 * (private keys, tokens, what stands before the "@" of a URL); and by their names, in parameters of
 * what is called with them (`headers`, `password`). Too much is taken out rather than too little.
 */
export const REDACTED = "[redacted]";

/** Linear in the text: none begins with what it may end with. */
const LOOKS: readonly (readonly [secret: RegExp, instead: string])[] = [
  [/:\/\/[^\s/?#"'<>]*@/g, `://${REDACTED}@`],
  [/\b(Bearer|Basic) +[\w.~+/=-]{16,}/gi, `$1 ${REDACTED}`],
  [/\b(mesh1|mesh-access)\.[\w-]+\.[\w-]+(?:\.[\w-]+){0,2}/g, `$1.${REDACTED}`],
  [/(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, REDACTED],
];

const SECRET_NAME = new RegExp(
  "(^|[-_])(authorization|cookie|pass|passwd|credentials?|k)$|token$|" +
    "password|passphrase|secret|(api|private|access)[-_]?key",
  "i",
);
const SECRET_MAP = /^(additional[-_]?)?headers$|^metadata$/i;

const KEY_BEGINS = /-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----/;

export function redactText(text: string): string {
  let safe = text.includes("PRIVATE KEY-----") ? withoutKeys(text) : text;
  for (const [secret, instead] of LOOKS) safe = safe.replace(secret, instead);
  return safe;
}

/** PEM; one whose end is missing goes on to the end of the text. */
function withoutKeys(text: string): string {
  let safe = "";
  let rest = text;
  for (let found = KEY_BEGINS.exec(rest); found !== null; found = KEY_BEGINS.exec(rest)) {
    safe += rest.slice(0, found.index) + REDACTED;
    const end = rest.indexOf("-----END", found.index);
    const line = end === -1 ? -1 : rest.indexOf("\n", end);
    rest = line === -1 ? "" : rest.slice(line);
  }
  return safe + rest;
}

/** A value as JSON has it: a copy, with every text in it that is a secret by its name or looks. */
export function redactParameters(value: unknown): unknown {
  return redact(value, "", () => {});
}

/**
 * A document that was written by hand, and the parameters that were read from it: each secret of
 * these is taken out wherever it stands. All of it is, where one cannot be found: it was written in
 * some other way.
 */
export function redactDocument(text: string, parameters: unknown): string {
  const secrets: string[] = [];
  redact(parameters, "", (secret) => void (secret !== "" && secrets.push(secret)));
  let safe = text;
  // A longer one may contain a shorter one.
  for (const secret of secrets.sort((a, b) => b.length - a.length)) {
    if (!text.includes(secret)) return `# ${REDACTED}: it holds a secret\n`;
    safe = safe.replaceAll(secret, REDACTED);
  }
  return redactText(safe);
}

/** `name`: under which it stands; `onSecret` gets what was taken out whole. */
function redact(value: unknown, name: string, onSecret: (secret: string) => void): unknown {
  if (typeof value === "string") {
    if (!SECRET_NAME.test(name) || value === "") return redactText(value);
    onSecret(value);
    return REDACTED;
  }
  if (Array.isArray(value)) return value.map((one) => redact(one, name, onSecret));
  if (typeof value !== "object" || value === null) return value;
  const isSecretMap = SECRET_MAP.test(name);
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => {
      return [key, redact(one, isSecretMap ? "secret" : key, onSecret)];
    }),
  );
}
