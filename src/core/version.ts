/** The version of this binary, as `mesh version` and every registration state it. */
import manifest from "../../package.json" with { type: "json" };

export const MESH_VERSION: string = manifest.version;
