/** The configurations that the script is played in, as each side says them. */
import { fileURLToPath } from 'node:url';

import type { ConnectorOptions } from './original.ts';

export type World = {
  /** Options of the connector, for Pomelo and Pinus. */
  readonly connector: ConnectorOptions;
  /** The same for Pith. */
  readonly pith: string;
};

/** The Pomelo project's own folder; Pith is pointed at it. */
const CONFIG_DIR = fileURLToPath(new URL('project/config', import.meta.url));

/** Only clients of this type are let into the world with hooks. */
export const CLIENT_TYPE = 'game';
/** What the handshake hook says to a client, in the order in which JSON writes it. */
export const USER = { name: '勇者', level: 3 };

/** Keys of Pith's `pomelo` that point at the project. */
const PROJECT = `config_dir: "${CONFIG_DIR}"`;

export const WORLDS = {
  plain: { connector: { heartbeat: 30 }, pith: 'heartbeat: 30s' },
  // Pith reads dictionary.json and cannot see the handlers, whose methods the originals give codes of their own.
  dictionary: {
    connector: { heartbeat: 30, useDict: true },
    pith: `heartbeat: 30s\npomelo: { ${PROJECT}, use_protobuf: false }`,
  },
  // A connection that the originals no longer read from is ended by the heartbeat's timeout here, and soon.
  protobuf: {
    connector: { heartbeat: 2, useProtobuf: true },
    pith: `heartbeat: 2s\npomelo: { ${PROJECT}, use_dict: false }`,
  },
  // With the dictionary that the originals tell in their handshake, saved as a file of routes and codes.
  both: {
    connector: { heartbeat: 30, useDict: true, useProtobuf: true },
    pith: `heartbeat: 30s\npomelo: { ${PROJECT}, env: carried }`,
  },
  // Without heartbeats as well.
  hooks: {
    connector: { clientTypes: [CLIENT_TYPE], user: USER },
    pith: `heartbeat: 0s
pomelo: { client_types: [${CLIENT_TYPE}] }
auth: { mode: connect, backend: game }`,
  },
  crypto: {
    connector: { heartbeat: 30, useCrypto: true },
    pith: 'heartbeat: 30s\npomelo: { use_crypto: true }',
  },
} as const satisfies Record<string, World>;

export type WorldName = keyof typeof WORLDS;
