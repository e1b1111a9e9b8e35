/**
 * What a proxy is started with to prove who it is, and where its identity may outlive it: a file,
 * if a flag names one, or the memory of its successor. Nothing is written otherwise.
 */
import { readFileSync, statSync } from "node:fs";
import type { Log } from "../../core/log.ts";
import { writeFileAtomic } from "../../io/atomic-file.ts";
import type { CredentialFlags } from "../flags.ts";
import type { WorkloadKeyPair } from "./mesh-identity.ts";
import type { Proof } from "./workload-credential.ts";

const FILE_BYTES_MAX = 1 << 20;

type Proofs = Pick<CredentialFlags, "tokenFile" | "token" | "jwtFile">;

/** Read anew, since files of JWTs are renewed. Throws where it cannot be read. */
export function readProof({ tokenFile, token, jwtFile }: CredentialFlags): Proof {
  if (jwtFile !== undefined) return { case: "jwt", value: readLine(jwtFile) };
  const value = tokenFile === undefined ? token : readLine(tokenFile);
  return value === undefined ? { case: undefined } : { case: "joinToken", value };
}

/** Of `--token` or the environment; "": there is none. Throws where it cannot be read. */
export function joinTokenOf({ tokenFile, token = "" }: CredentialFlags): string {
  return tokenFile === undefined ? token : readLine(tokenFile);
}

/** For a person, where the proof of `service` is not believed, or has been used up. */
export function remedyOf({ tokenFile, token, jwtFile }: Proofs, service: string): string {
  if (jwtFile !== undefined)
    return `a token that is in force and known to the manager in ${jwtFile}`;
  const name = service === "" ? "NAME" : service;
  const create = `mesh ctl token create --service ${name}`;
  if (tokenFile !== undefined) return `${create} > ${tokenFile}`;
  if (token !== undefined) return `another start with MESH_JOIN_TOKEN of ${create}`;
  return `another start with --token FILE of ${create}`;
}

/** Undefined: there is none yet. Throws where it cannot be read, or others can. */
export function loadIdentity(path: string): WorkloadKeyPair | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if ((found.mode & 0o077) !== 0) throw new Error(`${path} may be read by others (chmod 600)`);
  if (found.size > FILE_BYTES_MAX) throw new Error(`${path} is too large`);
  // One text for both: each is looked for by its markers.
  const text = readFileSync(path, "latin1");
  return { chainPem: text, keyPem: text };
}

/** Throws the system's error. */
export function storeIdentity(path: string, { chainPem, keyPem }: WorkloadKeyPair): void {
  writeFileAtomic(path, `${keyPem.trim()}\n${chainPem.trim()}\n`, 0o600);
}

/** A file that is of no use is said, and asks for a new certificate. */
export function storedIdentity(path: string | undefined, log: Log): WorkloadKeyPair | undefined {
  try {
    return path === undefined ? undefined : loadIdentity(path);
  } catch (thrown) {
    log.warn("the identity of an earlier run is not used", { reason: messageOf(thrown) });
    return undefined;
  }
}

export function keepIdentity(path: string | undefined, pair: WorkloadKeyPair, log: Log): void {
  try {
    if (path !== undefined) storeIdentity(path, pair);
  } catch (thrown) {
    log.warn("the identity is not kept", { reason: messageOf(thrown) });
  }
}

/** For a successor, from memory to memory; "": there is none. */
export function encodeIdentity(pair: WorkloadKeyPair | undefined): string {
  return pair === undefined ? "" : JSON.stringify(pair);
}

/** Undefined: it is none. */
export function decodeIdentity(secret: string): WorkloadKeyPair | undefined {
  try {
    const pair = JSON.parse(secret) as Partial<WorkloadKeyPair> | null;
    const { chainPem, keyPem } = pair ?? {};
    if (typeof chainPem !== "string" || typeof keyPem !== "string") return undefined;
    return { chainPem, keyPem };
  } catch {
    return undefined;
  }
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function readLine(path: string): string {
  const { size } = statSync(path);
  if (size > FILE_BYTES_MAX) throw new Error(`${path} is too large`);
  return readFileSync(path, "utf8").trim();
}
