/** Configurations of our own, for before there is another one. */
import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";

/** What outbound answers until it has been told where anything is. */
export const unconfigured = create(ProxyConfigSchema, {
  version: "none",
  virtualHosts: [
    {
      name: "unconfigured",
      domains: ["*"],
      routes: [
        {
          name: "unconfigured",
          action: {
            case: "direct",
            value: { status: 503, body: "mesh: this proxy has no configuration yet\n" },
          },
        },
      ],
    },
  ],
});

/** Inbound goes to the application, whatever the host. */
export const nothing = create(ProxyConfigSchema, { version: "none" });
