/** Flags that several commands share, so that they are spelled and explained once. */
import type { ArgsDef } from "citty";

export const DEFAULT_MANAGER = "http://127.0.0.1:15010";

/** Every command has these; they may also stand before the command's name. */
export const commonFlags = {
  help: { type: "boolean", alias: "h", description: "Show help and examples" },
} as const satisfies ArgsDef;

export const managerFlags = {
  manager: {
    type: "string",
    valueHint: "URL",
    description: `The manager's API (env MESH_MANAGER, else ${DEFAULT_MANAGER})`,
  },
  token: {
    type: "string",
    valueHint: "FILE",
    description: "Who you are: an access token (env MESH_TOKEN_FILE; the token itself: MESH_TOKEN)",
  },
  ca: {
    type: "string",
    valueHint: "FILE",
    description: "Roots to know the manager by, with https (env MESH_CA; else as the token says)",
  },
  cert: {
    type: "string",
    valueHint: "FILE",
    description: "Who you are: a certificate, with --key (env MESH_CERT)",
  },
  key: { type: "string", valueHint: "FILE", description: "Its private key (env MESH_KEY)" },
} as const satisfies ArgsDef;

export const namespaceFlags = {
  namespace: {
    type: "string",
    alias: "n",
    valueHint: "NAME",
    description: "Namespace of what names none (default: default)",
  },
} as const satisfies ArgsDef;

export const fileFlags = {
  file: {
    type: "string",
    alias: "f",
    valueHint: "FILE|DIR|-",
    description:
      "Rules to read; may be repeated; a directory is read with all below it, - is stdin",
  },
} as const satisfies ArgsDef;

export const dryRunFlags = {
  "dry-run": { type: "boolean", description: "Say what would change, and change nothing" },
} as const satisfies ArgsDef;

export const watchFlags = {
  watch: { type: "boolean", alias: "w", description: "Show again whenever it changes" },
} as const satisfies ArgsDef;

export const outputFormats = ["table", "wide", "json", "yaml", "name", "short"] as const;

export const outputFlags = {
  output: {
    type: "enum",
    alias: "o",
    options: [...outputFormats],
    description: "How to print",
  },
} as const satisfies ArgsDef;
