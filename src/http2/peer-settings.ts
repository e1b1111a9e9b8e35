/** What the peer's SETTINGS say (RFC 9113 6.5.2, RFC 8441 3). */
import { ConnectionFault, type Fault } from "./fault.ts";
import { frameBytesAtStart, SettingId, windowAtStart, windowMax } from "./frame.ts";

const unlimited = 0xffffffff;
/** Settings that we do not know, kept for whoever does. */
const unknownMax = 16;

export class PeerSettings {
  headerTableBytes = 4096;
  /** 4294967295 where it was not said. */
  streamsMax = unlimited;
  initialWindowBytes = windowAtStart;
  frameBytesMax = frameBytesAtStart;
  /** 4294967295 where it was not said. */
  headerListBytesMax = unlimited;
  /** Extended CONNECT is understood. */
  connectProtocol = false;
  readonly #unknown: number[] = [];
  readonly #peerIsServer: boolean;

  constructor(peerIsServer: boolean) {
    this.#peerIsServer = peerIsServer;
  }

  /** The value of a setting that we do not know by itself, or undefined. */
  valueOf(id: number): number | undefined {
    const at = this.#unknown.findIndex((one, i) => i % 2 === 0 && one === id);
    return at === -1 ? undefined : this.#unknown[at + 1];
  }

  apply(id: number, value: number): Fault | undefined {
    switch (id) {
      case SettingId.headerTableSize:
        this.headerTableBytes = value;
        return undefined;
      case SettingId.enablePush:
        return value > (this.#peerIsServer ? 0 : 1) ? ConnectionFault.setting : undefined;
      case SettingId.maxConcurrentStreams:
        this.streamsMax = value;
        return undefined;
      case SettingId.initialWindowSize:
        if (value > windowMax) return ConnectionFault.settingWindow;
        this.initialWindowBytes = value;
        return undefined;
      case SettingId.maxFrameSize:
        if (value < frameBytesAtStart || value > 0xffffff) return ConnectionFault.setting;
        this.frameBytesMax = value;
        return undefined;
      case SettingId.maxHeaderListSize:
        this.headerListBytesMax = value;
        return undefined;
      case SettingId.enableConnectProtocol:
        if (value > 1 || (value === 0 && this.connectProtocol)) return ConnectionFault.setting;
        this.connectProtocol = value === 1;
        return undefined;
      default:
        this.#keep(id, value);
        return undefined;
    }
  }

  #keep(id: number, value: number): void {
    const unknown = this.#unknown;
    const at = unknown.findIndex((one, i) => i % 2 === 0 && one === id);
    if (at !== -1) unknown[at + 1] = value;
    else if (unknown.length < 2 * unknownMax) unknown.push(id, value);
  }
}
