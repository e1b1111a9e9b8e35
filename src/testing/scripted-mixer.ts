/** A mixer of a stranger's, on a port of its own, that answers when the test says so. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CallFault, CallStatus } from "../api/call-fault.ts";
import {
  type CheckRequest,
  type CheckResponse,
  CheckResponse_PreconditionResultSchema,
  CheckResponseSchema,
  Mixer,
  ReportResponseSchema,
} from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import type { ApiServer } from "../api/serve.ts";
import { serveUnary } from "../api/serve-unary.ts";
import { unaryMethod } from "../api/unary-method.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { systemRandom } from "../core/random.ts";
import { RemoteMixer } from "../proxy/mixer-client/mixer-client.ts";
import { Metrics } from "../telemetry/metrics.ts";

type Precondition = MessageInitShape<typeof CheckResponse_PreconditionResultSchema>;

export interface AskedCheck {
  readonly request: CheckRequest;
  /** With nothing more it says yes, for this once. */
  answer(precondition?: Precondition): void;
  refuse(reason: string): void;
}

export class ScriptedMixer {
  readonly asked: AskedCheck[] = [];
  /** Exchanges that it was told of. */
  reported = 0;
  readonly #closing: (() => unknown)[] = [];
  #server: ApiServer | undefined;

  static async open(): Promise<ScriptedMixer> {
    const mixer = new ScriptedMixer();
    mixer.#server = await serveUnary({
      ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, callsMax: 100 },
      ...{ messageBytesMax: 1 << 20, heldBytesMax: 8 << 20 },
      methods: [
        unaryMethod(Mixer.method.check, (request) => mixer.#check(request)),
        unaryMethod(Mixer.method.report, async ({ attributes }) => {
          mixer.reported += attributes.length;
          return create(ReportResponseSchema);
        }),
      ],
      fetch: () => new Response(null, { status: 404 }),
    });
    return mixer;
  }

  /** As a proxy has it. With a clock of the test's, no limit passes by itself. */
  client(clock: Clock = systemClock): RemoteMixer {
    const client = new RemoteMixer({
      ...{ hostname: "127.0.0.1", port: this.#server!.port, timeoutMs: 60_000, retriesMax: 0 },
      ...{ clock, random: systemRandom, metrics: new Metrics({ seriesMax: 100 }) },
      ...{ log: new Log("proxy", { level: "error" }, () => {}), cacheMax: 100, optimistic: false },
    });
    this.#closing.push(() => client.close());
    return client;
  }

  async close(): Promise<void> {
    for (const close of this.#closing) close();
    for (const { refuse } of this.asked) refuse("it ends");
    await this.#server?.close();
  }

  #check(request: CheckRequest): Promise<CheckResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<CheckResponse>();
    this.asked.push({
      request,
      answer: (given = {}) => {
        const precondition = create(CheckResponse_PreconditionResultSchema, given);
        resolve(create(CheckResponseSchema, { precondition }));
      },
      refuse: (reason) => reject(new CallFault(CallStatus.unavailable, reason)),
    });
    return promise;
  }
}
