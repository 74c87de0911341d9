/** Connections that cost a gateway something and are of no use to anybody: how each is opened, and how it should end. */
import net from 'node:net';
import tls from 'node:tls';

import { ACK, ask, frame, HANDSHAKE, OPCODE, pack, UPGRADE } from '../../support/raw.ts';

/** The listeners that a crowd needs: plain and TLS on one, behind a proxy on the other. */
export type CrowdPorts = { readonly open: number; readonly proxied: number };

export type CrowdKind = {
  readonly name: string;
  /** What each sends as soon as it is connected; then it waits for `until` before it sends `last`. */
  readonly first: Buffer | string;
  /** What comes back before it goes on; '': nothing is waited for. */
  readonly until: string;
  readonly last: Buffer | string;
  /** Bytes of which it sends one every second. */
  readonly drips: Buffer | string;
  /** It reads nothing from then on. */
  readonly isDeaf: boolean;
  /** It resets the connection instead of waiting for its end. */
  readonly resets: boolean;
  /** All of it is inside TLS. */
  readonly isSecure: boolean;
  /** It begins a TLS handshake. */
  readonly speaksTls: boolean;
  readonly port: keyof CrowdPorts;
  /** Of it there are so many for one of another kind: each makes the kernel hold megabytes, too. */
  readonly share: number;
  /** What each may hold, bytes; 0: it has no bound of its own. */
  readonly bytesMax: number;
  /** The series that counts its end. */
  readonly ends: string;
};

const QUIET = {
  first: '',
  until: '',
  last: '',
  drips: '',
  isDeaf: false,
  resets: false,
  isSecure: false,
  speaksTls: false,
  port: 'open',
  share: 1,
  bytesMax: 40 * 1_024,
} as const;

/** The head of a record and the first bytes of a ClientHello, which announces more. */
const HALF_HELLO = Buffer.from('160301020001', 'hex');
const HALF_UPGRADE = UPGRADE.slice(0, 60);
const WRONG_PATH = UPGRADE.replace('GET / ', 'GET /elsewhere ');
const HALF_V2 = Buffer.from('0d0a0d0a000d0a515549540a2111000ccb0071', 'hex');
const WS_HANDSHAKE = frame(OPCODE.BINARY, HANDSHAKE);
const WS_ACK = frame(OPCODE.BINARY, ACK);
const PINGS = Buffer.concat(Array.from({ length: 500 }, () => frame(OPCODE.PING, Buffer.alloc(2))));

const refused = (reason: string): string => `pith_connections_refused_total{reason="${reason}"}`;
const closed = (reason: string): string => `pith_sessions_closed_total{reason="${reason}"}`;

/** What a session that takes none of its answers asks for: each is as large as BIG_BYTES. */
const ASKS = Buffer.concat(Array.from({ length: 200 }, (_, i) => ask((i % 127) + 1, 'big.a')));

// oxfmt-ignore
export const KINDS: readonly CrowdKind[] = [
  { ...QUIET, name: 'silent', ends: refused('silent') },
  { ...QUIET, name: 'half a TLS handshake', first: HALF_HELLO, speaksTls: true, ends: refused('slow_handshake') },
  { ...QUIET, name: 'half an upgrade', first: HALF_UPGRADE, ends: refused('slow_handshake') },
  { ...QUIET, name: 'an upgrade that drips', first: 'GET / HTTP/1.1\r\n', drips: 'Host: gateway', ends: refused('slow_handshake') },
  { ...QUIET, name: 'half a PROXY header', first: HALF_V2, port: 'proxied', ends: refused('slow_proxy_header') },
  { ...QUIET, name: 'an upgrade to a wrong path', first: WRONG_PATH, until: '404', ends: refused('wrong_path') },
  { ...QUIET, name: 'half a handshake', first: HANDSHAKE.subarray(0, 20), ends: closed('handshake_timeout') },
  { ...QUIET, name: 'a handshake that drips', first: pack(1, '{"sys":', 4_000), drips: ' '.repeat(100), ends: closed('handshake_timeout') },
  { ...QUIET, name: 'no ack', first: HANDSHAKE, until: '"code":200', ends: closed('ack_timeout') },
  { ...QUIET, name: 'half a packet', first: HANDSHAKE, until: '"code":200', last: Buffer.concat([ACK, pack(4, 'half', 60_000)]), ends: closed('assemble_timeout') },
  { ...QUIET, name: 'half a WebSocket frame', first: Buffer.concat([Buffer.from(UPGRADE), WS_HANDSHAKE]), until: '"code":200', last: Buffer.concat([WS_ACK, frame(OPCODE.BINARY, Buffer.alloc(9), { announced: 60_000 })]), ends: closed('assemble_timeout') },
  { ...QUIET, name: 'a flood of pings', first: Buffer.concat([Buffer.from(UPGRADE), WS_HANDSHAKE]), until: '"code":200', last: Buffer.concat([WS_ACK, PINGS]), isDeaf: true, ends: closed('ping_flood') },
  { ...QUIET, name: 'reset in the middle', first: Buffer.concat([HANDSHAKE, ACK, pack(4, 'half', 60_000)]), until: '"code":200', resets: true, ends: closed('connection_lost') },
  { ...QUIET, name: 'takes nothing', first: Buffer.concat([HANDSHAKE, ACK]), until: '"code":200', last: ASKS, isDeaf: true, share: 1 / 25, bytesMax: 0, ends: closed('slow_consumer') },
  { ...QUIET, name: 'TLS, and nothing in it', isSecure: true, speaksTls: true, ends: refused('silent') },
  { ...QUIET, name: 'a session in TLS, never heard again', isSecure: true, speaksTls: true, first: Buffer.concat([HANDSHAKE, ACK]), until: '"code":200', ends: closed('heartbeat_timeout') },
  { ...QUIET, name: 'a packet without its last byte', first: HANDSHAKE, until: '"code":200', last: Buffer.concat([ACK, pack(4, Buffer.alloc(65_535), 65_536)]), ends: closed('assemble_timeout') },
  { ...QUIET, name: 'a message without its last byte', first: Buffer.concat([Buffer.from(UPGRADE), WS_HANDSHAKE]), until: '"code":200', last: Buffer.concat([WS_ACK, frame(OPCODE.BINARY, Buffer.alloc(81_919), { announced: 81_920 })]), ends: closed('assemble_timeout') },
  { ...QUIET, name: 'half a head', first: `GET / HTTP/1.1\r\nX: ${'x'.repeat(16_000)}`, ends: refused('slow_handshake') },
  { ...QUIET, name: 'plays, and is never heard again', first: Buffer.concat([HANDSHAKE, ACK]), until: '"code":200', ends: closed('heartbeat_timeout') },
];

/** So large is an answer to those who take none. */
const BIG_BYTES = 60_000;
const DRIP_EVERY_MS = 1_000;
/** Connections that are opened at once; where they come at a rate, those of so many milliseconds. */
const AT_ONCE = 200;
const RATE_MS = 20;

/** One hostile connection. */
class Stranger {
  readonly #socket: net.Socket;
  /** Resolves once it has done what it was to do, or has ended. */
  readonly inPlace: Promise<void>;
  isEnded = false;
  #drip: NodeJS.Timeout | undefined;

  constructor(kind: CrowdKind, port: number) {
    const at = { port, host: '127.0.0.1' };
    const socket: net.Socket = kind.isSecure
      ? tls.connect({ ...at, rejectUnauthorized: false })
      : net.connect({ ...at, noDelay: true });
    this.#socket = socket;
    socket.on('error', () => {});
    this.inPlace = new Promise((resolve) => {
      let came = '';
      socket.on('close', () => {
        this.isEnded = true;
        clearInterval(this.#drip);
        resolve();
      });
      const goOn = (): void => {
        if (kind.last.length > 0) socket.write(kind.last);
        if (kind.isDeaf) socket.pause();
        if (kind.resets) socket.resetAndDestroy();
        resolve();
      };
      socket.on('data', (chunk: Buffer) => {
        if (came === kind.until) return;
        came = (came + chunk.toString('latin1')).slice(-2_000);
        if (!came.includes(kind.until)) return;
        came = kind.until;
        goOn();
      });
      socket.once(kind.isSecure ? 'secureConnect' : 'connect', () => {
        if (kind.first.length > 0) socket.write(kind.first);
        if (kind.drips.length > 0) this.#dripOn(Buffer.from(kind.drips as string));
        if (kind.until === '') goOn();
      });
    });
  }

  #dripOn(bytes: Buffer): void {
    let at = 0;
    this.#drip = setInterval(() => {
      this.#socket.write(bytes.subarray(at % bytes.length, (at % bytes.length) + 1));
      at++;
    }, DRIP_EVERY_MS);
  }

  /** Takes all that comes, so that it sees its end. */
  listen(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Many of one kind. */
export class Crowd implements Disposable {
  readonly #strangers: Stranger[] = [];

  /**
   * @param count So many of a kind of which there are no fewer.
   * @param perSecond How many come in a second; 0: as fast as they get in.
   */
  static async come(
    kind: CrowdKind,
    count: number,
    ports: CrowdPorts,
    perSecond = 0,
  ): Promise<Crowd> {
    const crowd = new Crowd();
    const atOnce = perSecond === 0 ? AT_ONCE : Math.ceil((perSecond * RATE_MS) / 1_000);
    const since = performance.now();
    for (let left = Math.ceil(count * kind.share); left > 0; left -= atOnce) {
      const more = Array.from(
        { length: Math.min(left, atOnce) },
        () => new Stranger(kind, ports[kind.port]),
      );
      crowd.#strangers.push(...more);
      if (perSecond === 0) await Promise.all(more.map(({ inPlace }) => inPlace));
      else {
        const dueMs = (crowd.size * 1_000) / perSecond - (performance.now() - since);
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs)));
      }
    }
    await Promise.all(crowd.#strangers.map(({ inPlace }) => inPlace));
    return crowd;
  }

  get size(): number {
    return this.#strangers.length;
  }

  /** How many have seen their end. */
  get ended(): number {
    return this.#strangers.filter(({ isEnded }) => isEnded).length;
  }

  listen(): void {
    for (const stranger of this.#strangers) stranger.listen();
  }

  [Symbol.dispose](): void {
    for (const stranger of this.#strangers) stranger.destroy();
  }
}

/** Of packets that are not whole, for each of a crowd: what they hold together is bounded, not what one of them does. */
const UNFINISHED_BYTES = 24 * 1_024;

/**
 * A gateway for crowds of `count` each; `deadline`: of everything that they may be late with; `acceptsPerSecond`: as many as
 * are let in, null: the default.
 */
export function crowdConfig(
  tls: { cert: string; key: string },
  deadline: string,
  {
    outboxesMiB,
    count,
    acceptsPerSecond = 1_000_000,
  }: { outboxesMiB: number; count: number; acceptsPerSecond?: number | null },
): string {
  return `
listen:
  - { url: "auto://127.0.0.1:0", path: /, tls: { cert: ${tls.cert}, key: ${tls.key} } }
  - { url: "auto://127.0.0.1:0", proxy_protocol: required, trusted_proxies: [127.0.0.1] }
heartbeat: ${deadline}
backends: { big: { reply: { text: ${'x'.repeat(BIG_BYTES)} } }, echo: { reply: { code: 200 } } }
routes: [{ match: "big.>", backend: big }, { match: "echo.>", backend: echo }]
drain: { budget: 2s, per_second: 100000 }
limits:
  { handshake: ${deadline}, ack: ${deadline}, assemble: ${deadline}, slow: { drop_after: 2s, close_after: ${deadline} },
    ${acceptsPerSecond === null ? '' : `accepts_per_second: ${acceptsPerSecond},`} connections: 15000, outboxes: ${outboxesMiB}MiB, unfinished: ${Math.max(262_144, count * UNFINISHED_BYTES)}, messages_per_second: 1000000,
    burst: 1000000 }
`;
}
