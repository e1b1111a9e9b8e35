/** A rule's health check in the words of a proxy's configuration. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HealthCheckSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { HealthCheckSettings, HealthProbe } from "../../model/health-check.ts";

type HealthCheckInit = MessageInitShape<typeof HealthCheckSchema>;

export function healthCheckOf({ probe, ...rest }: HealthCheckSettings): HealthCheckInit {
  return { by: byOf(probe), ...rest };
}

function byOf(probe: HealthProbe): NonNullable<HealthCheckInit["by"]> {
  const encoder = new TextEncoder();
  switch (probe.by) {
    case "http": {
      const { path, method = "", host = "", headers, expectedStatuses } = probe;
      const fields = Object.entries(headers).map(([name, value]) => ({ name, value }));
      const expected = expectedStatuses.map((text) => {
        const [from, to = from] = text.split("-").map(Number);
        return { from: from!, to: to! };
      });
      return { case: "http", value: { path, method, host, headers: fields, expected } };
    }
    case "tcp": {
      const { send = "", receive } = probe;
      const wanted = receive.map((text) => encoder.encode(text));
      return { case: "tcp", value: { send: encoder.encode(send), receive: wanted } };
    }
    case "grpc": {
      const { serviceName: service = "", authority = "" } = probe;
      return { case: "grpc", value: { service, authority } };
    }
    default:
      return probe satisfies never;
  }
}
