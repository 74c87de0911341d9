/** What the configuration means to each part, and other small translations that the gateway needs. Pure but for `randomId`. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { parseAddress, parseListenUrl } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { errorText } from '../errors.ts';
import { PACKET_HEAD_BYTES } from '../protocol/packet.ts';
import type { AdmissionLimits } from '../relay/admission.ts';
import type { ChangeLimits } from '../session/changes.ts';
import type { SessionLimits } from '../session/session-parts.ts';
import type { ListenerOptions } from '../transport/listener.ts';
import type { PortAddress } from '../transport/port.ts';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

export function randomId(): string {
  let id = '';
  // 248 is the largest multiple of 62 in a byte: no letter is likelier than another.
  while (id.length < 10)
    for (const byte of randomBytes(16)) if (byte < 248 && id.length < 10) id += BASE62[byte % 62];
  return id;
}

export function sessionLimits(config: Config): SessionLimits {
  const { limits } = config;
  return {
    packetBytesMax: limits.packet,
    handshakeMs: limits.handshake,
    ackMs: limits.ack,
    assembleMs: limits.assemble,
    heartbeatMs: config.heartbeat,
    closeAfterMs: limits.slow.close_after,
    inFlightMax: limits.in_flight_per_session,
    outbox: { bytesMax: limits.outbox, dropAfterMs: limits.slow.drop_after },
  };
}

export function changeLimits({ sessions }: Config): ChangeLimits {
  return { dataBytesMax: sessions.data, groupsMax: sessions.groups };
}

/** Where to listen, of `host:port` or `unix:/path`. */
export function portAddress(listen: string): PortAddress {
  const address = parseAddress(listen);
  return address.kind === 'unix'
    ? { path: address.path }
    : { host: address.host, port: address.port };
}

/** Says which key names an address that could not be bound. */
export async function bound(key: string, address: string, listening: Promise<void>): Promise<void> {
  try {
    await listening;
  } catch (error) {
    throw new Error(`${key}: cannot listen on ${address}: ${errorText(error)}`, { cause: error });
  }
}

export function admissionLimits({ limits }: Config): AdmissionLimits {
  return {
    messagesPerSecond: limits.messages_per_second,
    burst: limits.burst,
    inFlightPerBackend: limits.in_flight_per_backend,
  };
}

export function listenerOptions(config: Config, listen: Config['listen'][number]): ListenerOptions {
  const { cert, key, ca, require_client_cert: requireClientCert } = listen.tls;
  const name = `listen[${config.listen.indexOf(listen)}].tls`;
  return {
    ...parseListenUrl(listen.url),
    packetBytesMax: config.limits.packet + PACKET_HEAD_BYTES,
    handshakeMs: config.limits.handshake,
    webSocketOnly: listen.dialect === 'json',
    path: listen.path,
    origins: listen.origins,
    tls: cert === '' ? null : { cert, key, ca, requireClientCert, name, readFile },
  };
}

/** For the parts that read a file now and then, while the gateway runs. */
function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}
