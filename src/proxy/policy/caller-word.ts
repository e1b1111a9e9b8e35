/** What was said of one connection's caller, and what of it is believed by now. */
import type { SpiffeId } from "../../core/spiffe-id.ts";
import type { ClaimJudge, ClaimProof, Judgement } from "./claim-judge.ts";
import { type Caller, type Claim, callerOf } from "./workload-claim.ts";

export class CallerWord {
  readonly #claim: Claim;
  readonly #proof: ClaimProof;
  readonly #judge: ClaimJudge | undefined;
  #judgement: Judgement | undefined = undefined;
  #edition: unknown = undefined;

  /** Without `judge` it is believed unless it contradicts the proof. */
  constructor(claim: Claim, proof: ClaimProof, judge: ClaimJudge | undefined) {
    this.#claim = claim;
    this.#proof = proof;
    this.#judge = judge;
  }

  get caller(): Caller | undefined {
    const known = this.#judgement;
    if (known === undefined) return this.#first();
    // Who is new may be known only by the next configuration.
    if (known.doubts.length > 0 && this.#judge?.edition !== this.#edition) this.#ask(this.#judge);
    return this.#judgement?.caller;
  }

  #first(): Caller | undefined {
    const judgement = this.#ask(this.#judge);
    if (judgement.doubts.length > 0) this.#judge?.note(judgement.doubts, this.#proof, this.#claim);
    return judgement.caller;
  }

  #ask(judge: ClaimJudge | undefined): Judgement {
    this.#edition = judge?.edition;
    const judgement = judge?.judge(this.#claim, this.#proof) ?? this.#byItself();
    this.#judgement = judgement;
    return judgement;
  }

  #byItself(): Judgement {
    const { id } = this.#proof;
    const isOwn = id === undefined || isOf(this.#claim, id);
    return { caller: isOwn ? callerOf(this.#claim) : undefined, doubts: [] };
  }
}

function isOf({ namespace, service }: Claim, id: SpiffeId): boolean {
  const stated = service === "" ? id.namespace : service.split(".")[1];
  return namespace === id.namespace && stated === id.namespace;
}
