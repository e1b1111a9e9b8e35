/**
 * Judges every call of the API before its method sees it, and remembers what was refused. A refusal
 * says what would be needed, never what exactly was wrong with what was shown: that is in log and
 * audit.
 */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Node, Workload } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { type Caller, callerOf, type Principal } from "../../api/principal.ts";
import type { Log } from "../../core/log.ts";
import { auditChange } from "../audit/audit-change.ts";
import { type AuditLog, auditEvent } from "../audit/audit-log.ts";
import { type Bound, boundNode, boundWorkload } from "./bound-claim.ts";
import type { WorkloadStanding } from "./credential.ts";
import { isAllowed, type MethodRule, methodRules } from "./method-rule.ts";
import { foreignNode, foreignWorkload } from "./own-identity.ts";

export interface AccessOptions {
  /** "cluster.local" */
  readonly domain: string;
  readonly standing: WorkloadStanding;
  readonly audit: AuditLog;
  readonly log: Log;
}

export class Access {
  readonly #options: AccessOptions;

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  get audit(): AuditLog {
    return this.#options.audit;
  }

  get standing(): WorkloadStanding {
    return this.#options.standing;
  }

  /** For the ports of the API. */
  readonly interceptor: Interceptor = (next) => async (request) => {
    const caller = callerOf(request.contextValues);
    const method = `${request.service.typeName}/${request.method.name}`;
    const rule = methodRules.get(method);
    const message: unknown = request.stream ? undefined : request.message;
    if (!isAllowed(rule, caller.principal, isDryRun(message)))
      throw this.refuse(caller, method, neededFor(rule, caller.principal));
    const lapse = rule === "workload" ? this.#lapseOf(caller.principal) : undefined;
    if (lapse !== undefined) throw this.refuse(caller, method, lapse);
    const response = await next(request).catch((thrown: unknown) => {
      // The library tells the caller nothing of it, and nobody else would.
      if (!(thrown instanceof ConnectError))
        this.#options.log.error("a call came to nothing", { method, reason: String(thrown) });
      throw thrown;
    });
    if (!response.stream && !isDryRun(message))
      for (const change of auditChange(request.method.name, response.message))
        this.#options.audit.record(auditEvent(caller, change));
    return response;
  };

  /** A proxy as it may be; throws where it is not the caller's own, or not what he may be. */
  admitNode(caller: Caller, node: Node): Node {
    this.checkNode(caller, node);
    const bound = boundNode(caller.principal, node, this.#options.standing);
    return this.#within(caller, `proxy ${node.id}`, bound);
  }

  /** The same of a registration. */
  admitWorkload(caller: Caller, workload: Workload): Workload {
    this.checkWorkload(caller, workload);
    const bound = boundWorkload(caller.principal, workload, this.#options.standing);
    return this.#within(caller, `workload ${workload.id}`, bound);
  }

  /** Id of the join token that a caller's certificate goes back to; "": none. */
  originOf({ principal }: Caller): string {
    if (principal.kind !== "workload") return "";
    return this.#options.standing.originOf(principal.certificate);
  }

  /** Throws where a workload speaks of a proxy that is not its own. */
  checkNode(caller: Caller, node: Node): void {
    const foreign = foreignNode(caller.principal, node, this.#options);
    if (foreign !== undefined) throw this.refuse(caller, `proxy ${node.id}`, foreign);
  }

  /** The same of a registration. */
  checkWorkload(caller: Caller, workload: Workload): void {
    const foreign = foreignWorkload(caller.principal, workload, this.#options);
    if (foreign !== undefined) throw this.refuse(caller, `workload ${workload.id}`, foreign);
  }

  #lapseOf(principal: Principal): string | undefined {
    if (principal.kind !== "workload") return undefined;
    return this.#options.standing.lapseOf(principal.certificate);
  }

  #within<T>(caller: Caller, object: string, bound: Bound<T>): T {
    if (bound.at === "foreign") throw this.refuse(caller, object, bound.why);
    return bound.said;
  }

  /** To be thrown. `sentence` is for the caller. */
  refuse(caller: Caller, object: string, sentence: string): ConnectError {
    const { principal, address } = caller;
    const isKnown = principal.kind !== "anonymous";
    const reason = isKnown || principal.reason === "" ? sentence : principal.reason;
    const event = auditEvent(caller, {
      ...{ action: "call refused", object, detail: reason },
      allowed: false,
    });
    this.#options.audit.record(event);
    this.#options.log.debug("call refused", { who: event.who, address, object, reason });
    return new ConnectError(sentence, isKnown ? Code.PermissionDenied : Code.Unauthenticated);
  }
}

function neededFor(rule: MethodRule | undefined, principal: Principal): string {
  if (principal.kind === "anonymous")
    return "who calls is not known: show an access token, or a client certificate of this mesh";
  if (rule === undefined) return "nobody may call this";
  if (rule === "workload") return "only a workload with its certificate may call this";
  if (principal.kind === "workload") return "a workload may ask only about itself";
  return `the role ${rule === "admin" || rule === "viewer" ? rule : "operator"} is needed for this`;
}

function isDryRun(message: unknown): boolean {
  return (
    typeof message === "object" &&
    message !== null &&
    "dryRun" in message &&
    message.dryRun === true
  );
}
