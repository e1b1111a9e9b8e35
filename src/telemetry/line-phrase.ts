/**
 * The parts of a line that repeat from line to line, as bytes: how an exchange ended, and by which
 * rule and where to. They are made of the snapshot's strings, which are few and compared by
 * reference, so a line pays for one look-up instead of a dozen texts.
 */
import type { Failure } from "../core/failure.ts";
import type { AccessRecord } from "./access-record.ts";
import { Piece } from "./line-buffer.ts";

/** Texts of ours are short, but a rule's author may choose a route's name. */
export const OWN_TEXT_MAX = 512;

/** Of one upstream host, and of all of them; when there are more, they are made anew. */
const PHRASES_OF_HOST_MAX = 32;
const PHRASES_MAX = 2_048;

/** A format's way to write each part of a line. */
export interface PhraseWriter {
  /** Flags, details, why the connection ended, what the upstream's transport said. */
  outcome(record: AccessRecord): string;
  /** Upstream host, cluster, our address towards it. */
  upstream(record: AccessRecord): string;
  /** Name that TLS asked for, route; to the end of the line. */
  ending(record: AccessRecord): string;
}

export class Phrase {
  readonly outcome: Piece;
  readonly upstream: Piece;
  readonly ending: Piece;
  readonly #failure: Failure | undefined;
  readonly #details: string;
  readonly #transportFailure: string;
  readonly #cluster: string;
  readonly #localAddress: string;
  readonly #serverName: string;
  readonly #routeName: string;

  constructor(record: AccessRecord, writer: PhraseWriter) {
    this.outcome = new Piece(writer.outcome(record));
    this.upstream = new Piece(writer.upstream(record));
    this.ending = new Piece(writer.ending(record));
    this.#failure = record.failure;
    this.#details = record.details;
    this.#transportFailure = record.upstreamTransportFailure;
    this.#cluster = record.upstreamCluster;
    this.#localAddress = record.upstreamLocalAddress;
    this.#serverName = record.requestedServerName;
    this.#routeName = record.routeName;
  }

  /** For a record with the same upstream host. */
  says(record: AccessRecord): boolean {
    return (
      this.#routeName === record.routeName &&
      this.#cluster === record.upstreamCluster &&
      this.#failure === record.failure &&
      this.#details === record.details &&
      this.#transportFailure === record.upstreamTransportFailure &&
      this.#localAddress === record.upstreamLocalAddress &&
      this.#serverName === record.requestedServerName
    );
  }
}

export class Phrases {
  readonly #writer: PhraseWriter;
  readonly #byHost = new Map<string, Phrase[]>();
  #count = 0;

  constructor(writer: PhraseWriter) {
    this.#writer = writer;
  }

  of(record: AccessRecord): Phrase {
    const phrases = this.#byHost.get(record.upstreamHost);
    if (phrases === undefined) return this.#make(record, []);
    for (let i = 0; i < phrases.length; i++) if (phrases[i]!.says(record)) return phrases[i]!;
    return this.#make(record, phrases);
  }

  #make(record: AccessRecord, phrases: Phrase[]): Phrase {
    if (this.#count === PHRASES_MAX) {
      this.#byHost.clear();
      this.#count = 0;
    }
    if (phrases.length === PHRASES_OF_HOST_MAX) this.#count -= phrases.splice(0).length;
    const phrase = new Phrase(record, this.#writer);
    phrases.push(phrase);
    this.#byHost.set(record.upstreamHost, phrases);
    this.#count++;
    return phrase;
  }
}

/** A name of ours as ASCII that ends no field: an operator may have chosen it. */
export function escapedName(name: string): string {
  const quoted = JSON.stringify(name.slice(0, OWN_TEXT_MAX)).slice(1, -1);
  return quoted.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
