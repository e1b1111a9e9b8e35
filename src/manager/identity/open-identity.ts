/** Opens what the flags ask for: store, key file, authority, and whoever judges foreign tokens. */
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { systemRandom } from "../../core/random.ts";
import { readTrust } from "../../io/certificate-files.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { MEMORY } from "../store/database.ts";
import { AuthorityFiles } from "./authority-files.ts";
import { Identity } from "./identity.ts";
import type { IdentityFlags } from "./identity-flags.ts";
import { IdentityStore } from "./identity-store.ts";
import type { IssueAudit, JwtAuthenticator } from "./issuance.ts";
import { KeySeal } from "./key-seal.ts";
import { KubernetesToken } from "./kubernetes-token.ts";
import { OidcToken } from "./oidc-token.ts";

export interface IdentityEnvironment {
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: IssueAudit;
  /** Empty: nothing is kept. */
  readonly dataDir: string;
  /** Addresses at which TLS is served, beside what is advertised. */
  readonly hosts: readonly string[];
  /** Trust domains whose identities count as those of ours; may change. */
  readonly aliases: () => readonly string[];
}

export interface OpenIdentity {
  readonly identity: Identity;
  close(): void;
}

const ANY_ADDRESS: readonly string[] = ["", "0.0.0.0", "::"];

/** Throws a sentence for the operator. */
export function openIdentity(flags: IdentityFlags, environment: IdentityEnvironment): OpenIdentity {
  const { clock, log, audit, hosts } = environment;
  const directory = flags.identityDir || environment.dataDir;
  const nowMs = (): number => clock.wallMs();
  const files =
    flags.caDir === ""
      ? undefined
      : new AuthorityFiles(flags.caDir, nowMs, (message) => log.error(message));
  const store = new IdentityStore(directory === "" ? MEMORY : join(directory, "identity.db"));
  const oidc = oidcOf(flags, environment);
  const close = (): void => {
    oidc?.close();
    store.close();
  };
  try {
    const identity = new Identity({
      ...{ store, clock, log, audit, files },
      seal: sealOf(flags.caKeyFile, directory),
      trustDomain: flags.trustDomain,
      aliases: environment.aliases,
      leafLifetimeMs: flags.leafLifetimeMs,
      gatewayAccounts: flags.gatewayAccounts,
      jwts: [...(oidc === undefined ? [] : [oidc]), ...kubernetesOf(flags, clock)],
      hosts: [...flags.advertise, ...hosts.filter((host) => !ANY_ADDRESS.includes(host))],
    });
    return {
      identity,
      close() {
        identity.close();
        close();
      },
    };
  } catch (cause) {
    files?.close();
    close();
    throw cause;
  }
}

function sealOf(keyFile: string, directory: string): KeySeal {
  if (keyFile !== "") return KeySeal.fromFile(keyFile);
  return directory === "" ? KeySeal.random() : KeySeal.createdIn(join(directory, "ca-key.key"));
}

function kubernetesOf(
  { kubernetes, trustDomain }: IdentityFlags,
  clock: Clock,
): readonly JwtAuthenticator[] {
  if (kubernetes === undefined) return [];
  const { caFile } = kubernetes;
  const roots = () => ({ trust: readTrust(caFile, clock.wallMs()).value });
  return [new KubernetesToken({ ...kubernetes, clock, trustDomain, roots })];
}

function oidcOf(
  { oidc, trustDomain }: IdentityFlags,
  { clock, log }: IdentityEnvironment,
): OidcToken | undefined {
  if (oidc === undefined) return undefined;
  const [random, metrics] = [systemRandom, new Metrics()];
  return new OidcToken({ ...oidc, trustDomain, clock, random, log, metrics });
}
