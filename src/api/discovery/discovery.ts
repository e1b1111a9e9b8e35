/**
 * Follows the manager: one Watch stream, kept open for as long as the proxy runs.
 *
 *   connecting ──▶ following ──stream ends──▶ waiting ──backoff──▶ connecting, version in hand
 *
 * Each version is offered to `accept`; what it answers goes back as acknowledgement or rejection.
 * A rejected version changes nothing: the last good one stays in force.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { AssertionError } from "../../core/assert.ts";
import { backoffMs } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Random } from "../../core/random.ts";
import {
  type AcknowledgementSchema,
  type ConfigUpdate,
  DiscoveryService,
  type Node,
} from "../gen/mesh/v1/discovery_pb.ts";
import type { ProxyConfig } from "../gen/mesh/v1/proxy_config_pb.ts";
import { callFault, isRefusal } from "./call-fault.ts";
import { applyUpdate } from "./config-update.ts";
import { within } from "./time-limit.ts";

const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 3000;
/** Different ones while the manager is away; the others are for who debugs. */
const FAULTS_SAID_MAX = 10;
const ALIVE_INTERVAL_MS = 5000;
const ALIVE_TIMEOUT_MS = 5000;
/** How a call ends that nobody answered. */
const SILENCE = new Set([Code.Canceled, Code.DeadlineExceeded, Code.Unavailable, Code.Unknown]);

export interface DiscoveryOptions {
  readonly transport: Transport;
  readonly node: Node;
  /** What the proxy runs on already, from disk; the stream resumes from it. */
  readonly held: ProxyConfig | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Puts a configuration in force; or says what is wrong with it, and changes nothing. */
  readonly accept: (config: ProxyConfig) => readonly string[] | Promise<readonly string[]>;
  /** A stream is established, the first time or again. */
  readonly onConnected?: () => void;
}

export interface DiscoveryStatus {
  readonly at: "stopped" | "connecting" | "following" | "waiting";
  /** The version in force; empty: none. */
  readonly version: string;
  readonly rejected: { readonly version: string; readonly problems: readonly string[] } | undefined;
  readonly updates: number;
  readonly rejections: number;
  readonly reconnects: number;
  /** Why the last stream ended; empty while one is followed. */
  readonly fault: string;
}

type At = DiscoveryStatus["at"];
type Said = MessageInitShape<typeof AcknowledgementSchema>;

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #client: Client<typeof DiscoveryService>;
  readonly #ended = new AbortController();
  #at: At = "stopped";
  /** In force. */
  #active: ProxyConfig | undefined;
  /** Received last: the same, or a rejected one that the next difference may be based on. */
  #received: ProxyConfig | undefined;
  #rejected: DiscoveryStatus["rejected"];
  #updates = 0;
  #rejections = 0;
  #reconnects = 0;
  #fault = "";
  #isRefused = false;
  /** In the log, since it was followed last. */
  readonly #said = new Set<string>();
  #acknowledged: Promise<void> = Promise.resolve();
  /** An acknowledgement that may have been lost. */
  #unsaid: Said | undefined;
  /** Ends the stream under way, whose manager says nothing any more. */
  #stream = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#client = createClient(DiscoveryService, options.transport);
    this.#active = options.held;
    this.#received = options.held;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Ends the stream; resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
    await this.#acknowledged;
  }

  status(): DiscoveryStatus {
    return {
      at: this.#at,
      version: this.#active?.version ?? "",
      rejected: this.#rejected,
      updates: this.#updates,
      rejections: this.#rejections,
      reconnects: this.#reconnects,
      fault: this.#fault,
    };
  }

  async #run(): Promise<void> {
    let attempt = 0;
    while (!this.#ended.signal.aborted) {
      this.#at = "connecting";
      const updatesBefore = this.#updates;
      await this.#follow();
      if (this.#ended.signal.aborted) break;
      this.#lost(this.#updates > updatesBefore);
      attempt = this.#updates > updatesBefore ? 0 : attempt + 1;
      const { random } = this.#options;
      await this.#pause(backoffMs(attempt, RETRY_BASE_MS, RETRY_MAX_MS, random));
    }
    this.#at = "stopped";
  }

  /** One stream, until it ends; why it ended is in #fault. Never rejects. */
  async #follow(): Promise<void> {
    const request = { node: this.#options.node, version: this.#received?.version ?? "" };
    this.#stream = new AbortController();
    const signal = AbortSignal.any([this.#ended.signal, this.#stream.signal]);
    // Not by the head of the answer: a refusal has one too.
    const options = { signal };
    const stopAsking = this.#askWhetherAlive();
    try {
      for await (const update of this.#client.watch(request, options)) {
        this.#connected();
        if (!(await this.#receive(update))) {
          this.#fault = "a difference to a version that is not held";
          return;
        }
      }
      this.#fault = "the manager closed the stream";
    } catch (thrown) {
      if (thrown instanceof AssertionError) throw thrown;
      // Canceled, unavailable and every other end of a stream mean the same here: come back.
      this.#fault = callFault(thrown);
      this.#isRefused = isRefusal(thrown);
    } finally {
      stopAsking();
    }
  }

  /**
   * A frozen manager keeps its connections open, and a stream may be silent for days: so an
   * acknowledgement of nothing is said from time to time, or one that was lost. Any answer will do,
   * a refusal too.
   */
  #askWhetherAlive(): () => void {
    const { clock } = this.#options;
    const stream = this.#stream;
    const ask = async (): Promise<void> => {
      const answered = await this.#say(this.#unsaid ?? { nodeId: this.#options.node.id });
      if (stream.signal.aborted || stream !== this.#stream) return;
      if (!answered) return stream.abort(new Error("the manager does not answer"));
      this.#unsaid = undefined;
      this.#connected();
      cancel = clock.after(ALIVE_INTERVAL_MS, ask);
    };
    let cancel = clock.after(ALIVE_INTERVAL_MS, ask);
    return () => {
      stream.abort();
      cancel();
    };
  }

  #connected(): void {
    if (this.#at === "following") return;
    this.#at = "following";
    this.#fault = "";
    this.#said.clear();
    this.#options.log.info("following the manager", { version: this.#active?.version ?? "" });
    this.#options.onConnected?.();
  }

  #lost(followed: boolean): void {
    const fields = { reason: this.#fault, version: this.#active?.version ?? "" };
    const isNews = this.#said.size < FAULTS_SAID_MAX && !this.#said.has(this.#fault);
    if (isNews) this.#said.add(this.#fault);
    if (this.#at === "following" || followed || isNews) {
      const rest = this.#active === undefined ? "" : "; the last configuration stays";
      const what = this.#isRefused ? "the manager refuses us" : "manager is away";
      this.#options.log.warn(`${what}${rest}`, fields);
    } else {
      this.#options.log.debug("manager is still away", fields);
    }
    this.#isRefused = false;
    this.#at = "waiting";
    this.#reconnects++;
  }

  /** False: this stream cannot be followed on. */
  async #receive(update: ConfigUpdate): Promise<boolean> {
    const config = applyUpdate(this.#received, update) ?? applyUpdate(this.#active, update);
    if (config === undefined) {
      this.#received = undefined;
      return false;
    }
    this.#updates++;
    this.#received = config;
    const problems = await this.#options.accept(config);
    if (problems.length === 0) {
      this.#active = config;
      this.#rejected = undefined;
    } else {
      this.#rejections++;
      this.#rejected = { version: config.version, problems };
      this.#options.log.warn("configuration refused; the last good one stays", {
        version: config.version,
        active: this.#active?.version ?? "",
        problem: problems[0]!,
        problems: problems.length,
      });
    }
    this.#acknowledge(config.version, problems);
    return true;
  }

  /** In the order of the versions; a lost one is made good by the next stream's request. */
  #acknowledge(version: string, problems: readonly string[]): void {
    const message = {
      nodeId: this.#options.node.id,
      version,
      problems: [...problems],
      activeVersion: this.#active?.version ?? "",
    };
    this.#unsaid = undefined;
    this.#acknowledged = this.#acknowledged.then(async () => {
      if (!(await this.#say(message))) this.#unsaid = message;
    });
  }

  /** False: no answer, not even a refusal. */
  async #say(message: Said): Promise<boolean> {
    try {
      await within(this.#options.clock, ALIVE_TIMEOUT_MS, (signal) =>
        this.#client.acknowledge(message, { signal }),
      );
      return true;
    } catch (thrown) {
      return !SILENCE.has(ConnectError.from(thrown).code);
    }
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#ended;
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.#options.clock.after(ms, done);
      signal.addEventListener("abort", done);
    });
  }
}
