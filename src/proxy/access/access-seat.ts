/**
 * Where access sits in a data plane: what is published becomes the gates of its engines, which are
 * shut until something is. Steps that ask others are loaded with the first configuration that has
 * any; until then nothing of them is in memory.
 */
import type { ExternalAuthorizer, RequestAuthentication } from "../../api/gen/mesh/v1/access_pb.ts";
import type { ProxyConfig } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { assert } from "../../core/assert.ts";
import type { AccessParts, AccessStepMaker } from "./access-step.ts";
import type { CompiledAccess } from "./compiled-access.ts";
import { type DenialView, viewDenial } from "./denial-view.ts";
import { DenialWatch } from "./denial-watch.ts";
import { type RelayAccess, RelayGate, shutRelays } from "./relay-gate.ts";
import { type GateStep, RequestGate } from "./request-gate.ts";

/** Who asks; undefined: nobody has to. */
export interface Gates {
  readonly requests: RequestGate | undefined;
  readonly relays: RelayAccess | undefined;
}

export interface AccessSeatParts extends AccessParts {
  readonly use: (gates: Gates) => void;
}

/** Refusals that are told at once. */
const SHOWN_MAX = 100;
const open: Gates = { requests: undefined, relays: undefined };

export class AccessSeat {
  readonly watch: DenialWatch;
  readonly #parts: AccessSeatParts;
  #published: CompiledAccess | undefined = undefined;
  #isShut = true;
  #tokens: AccessStepMaker<readonly RequestAuthentication[]> | undefined = undefined;
  #authorizers: AccessStepMaker<ExternalAuthorizer> | undefined = undefined;
  #isClosed = false;

  constructor(parts: AccessSeatParts) {
    this.#parts = parts;
    this.watch = new DenialWatch(parts);
  }

  /** A promise where the code for what `config` asks is not there yet. */
  load({ access }: ProxyConfig): Promise<void> | undefined {
    const needsTokens =
      this.#tokens === undefined && (access?.requestAuthentications.length ?? 0) > 0;
    const needsAuthorizers =
      this.#authorizers === undefined && (access?.externalAuthorizers.length ?? 0) > 0;
    if (!needsTokens && !needsAuthorizers) return undefined;
    return this.#load(needsTokens, needsAuthorizers);
  }

  publish(access: CompiledAccess | undefined): void {
    if (access === this.#published && !this.#isShut) return;
    this.#published = access;
    this.#isShut = false;
    this.#parts.use(access === undefined ? open : this.#gatesOf(access));
  }

  /** Before anything is published. */
  shut(): void {
    const { watch } = this;
    const requests = new RequestGate({ isShut: true, steps: [], authorizer: undefined, watch });
    this.#parts.use({ requests, relays: shutRelays });
  }

  /** Newest first. `id`: of one request; "": of all. */
  denials(id: string): readonly DenialView[] {
    return this.watch.ring.list(id, SHOWN_MAX).map((one) => viewDenial(one, this.#published));
  }

  close(): void {
    this.#isClosed = true;
    this.#tokens?.close();
    this.#authorizers?.close();
  }

  #gatesOf({ message, http, tcp }: CompiledAccess): Gates {
    const { watch } = this;
    const steps = [...this.#tokenSteps(message.requestAuthentications)];
    for (const { provider, rules } of http?.custom ?? []) {
      const authorizer = message.externalAuthorizers.find(({ name }) => name === provider);
      const step = authorizer && this.#authorizers?.stepFor(authorizer);
      assert(step !== undefined, "who is asked was loaded before it is published");
      steps.push({ kind: "ext-authz", step, when: rules });
    }
    const asks = steps.length > 0 || http !== undefined;
    return {
      requests: asks ? new RequestGate({ steps, authorizer: http, watch }) : undefined,
      relays: tcp === undefined ? undefined : new RelayGate(tcp, watch),
    };
  }

  #tokenSteps(rules: readonly RequestAuthentication[]): readonly GateStep[] {
    if (rules.length === 0) return [];
    const step = this.#tokens?.stepFor(rules);
    assert(step !== undefined, "who judges tokens was loaded before it is published");
    return [{ kind: "jwt", step, when: undefined }];
  }

  async #load(needsTokens: boolean, needsAuthorizers: boolean): Promise<void> {
    const tokens = needsTokens ? await import("./jwt-steps.ts") : undefined;
    const authorizers = needsAuthorizers ? await import("./ext-authz-steps.ts") : undefined;
    if (this.#isClosed) return;
    if (tokens !== undefined) this.#tokens ??= new tokens.JwtSteps(this.#parts);
    if (authorizers !== undefined)
      this.#authorizers ??= new authorizers.ExternalAuthorizerSteps(this.#parts);
  }
}
