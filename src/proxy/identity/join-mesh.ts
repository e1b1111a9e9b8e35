/**
 * The way to a manager of a process that is no proxy, and proves who it is as proxies do: it asks
 * for a certificate by what it was started with, shows it from then on, and renews it.
 */
import type { Transport } from "@connectrpc/connect";
import { type ManagerCredential, managerTransport } from "../../api/discovery/manager-transport.ts";
import { rootPinOf } from "../../api/discovery/root-pin.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import type { CredentialFlags } from "../flags.ts";
import { joinTokenOf, keepIdentity, readProof, remedyOf, storedIdentity } from "./kept-identity.ts";
import { RootFile } from "./root-file.ts";
import { noticingUnknown } from "./unknown-caller.ts";
import { WorkloadCredential } from "./workload-credential.ts";

export interface JoinOptions {
  /** https */
  readonly manager: string;
  /** "mesh-mixer.mesh-system" */
  readonly service: string;
  readonly credential: Omit<CredentialFlags, "account" | "lifetimeSeconds">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface JoinedMesh {
  readonly transport: Transport;
  close(): void;
}

/** Throws a sentence for the operator. */
export function joinMesh({ manager, service, credential: given, ...parts }: JoinOptions) {
  const { keptIn, managerRoots } = given;
  const flags: CredentialFlags = { ...given, account: undefined, lifetimeSeconds: 0 };
  const former = storedIdentity(keptIn, parts.log);
  const file = managerRoots === undefined ? undefined : new RootFile(managerRoots);
  checkToken(flags, former !== undefined);
  let roots: readonly string[] = [];
  const known: ManagerCredential = {
    certificate: () => credential.pair,
    roots: () => {
      roots = credential.trust?.rootPems ?? roots;
      return [...roots, ...(file?.pems ?? [])];
    },
    rootPin: () => rootPinOf(joinTokenOf(flags)),
    trustDomain: () => credential.trust?.trustDomain ?? "",
  };
  const interceptors = [noticingUnknown(() => credential.doubt())];
  const transport = managerTransport(manager, known, { interceptors });
  const credential = new WorkloadCredential({
    ...parts,
    ...{ transport, service, former, serviceAccount: "", lifetimeSeconds: 0 },
    proof: () => readProof(flags),
    remedy: remedyOf(flags, service),
    use: (pair) => keepIdentity(keptIn, pair, parts.log),
  });
  credential.start();
  const joined: JoinedMesh = { transport, close: () => credential.close() };
  return joined;
}

/** Used or not, it names the root. Who has kept what it was good for may have lost it. */
function checkToken(flags: CredentialFlags, isKept: boolean): void {
  try {
    joinTokenOf(flags);
  } catch (thrown) {
    if (isKept) return;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`--token: ${reason}`, { cause: thrown });
  }
}
