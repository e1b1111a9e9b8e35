/** A listener of a gateway, compiled: the hosts that it serves, the certificates that it shows. */
import type { MessageHead } from "../../http/message-head.ts";
import type { HostTable } from "../route/host-table.ts";
import type { VirtualHost } from "../route/virtual-host.ts";

/** A certificate with its key, by the name under which the proxy has it. */
export interface EdgeCertificate {
  /** "my-secret.default" */
  readonly name: string;
  /** Server names in lower case: "example.com", "*.example.com". Empty: any. */
  readonly hosts: readonly string[];
}

export interface EdgeListenerFacts {
  /** "http-80" */
  readonly name: string;
  /** As clients know it; where it is bound is said on the command line. */
  readonly port: number;
  /** TLS ends here. */
  readonly secure: boolean;
  /** Each connection begins with a header of the PROXY protocol. */
  readonly proxied: boolean;
  /** TLS for a name that has no certificate goes where the table of connections says, as it is. */
  readonly passesTls: boolean;
  /** The first is for clients that name no host. Empty where it is not secure. */
  readonly certificates: readonly EdgeCertificate[];
}

export class EdgeListener {
  readonly facts: EdgeListenerFacts;
  readonly #hosts: HostTable<VirtualHost>;

  constructor(facts: EdgeListenerFacts, hosts: HostTable<VirtualHost>) {
    this.facts = facts;
    this.#hosts = hosts;
  }

  /**
   * Who serves a request. The port that its authority names does not count: at which port we are
   * reached, behind whatever maps ports, is not the rules' concern.
   */
  findVirtualHost(head: MessageHead): VirtualHost | undefined {
    const { bytes, authorityStart: from, hostEnd } = head;
    return from === -1 ? undefined : this.#hosts.find(bytes, from, hostEnd, this.facts.port);
  }
}
