/** Connections that were turned away before they became sessions: why, what to do about it, and their log. */
import type { Log } from '../telemetry/log.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

/** Every reason, with what happened and what to do; the reasons are labels of pith_connections_refused_total. */
export const REFUSALS = {
  accept_failed:
    'the system could not hand over a connection, for the reason in detail: most often the firewall, or too ' +
    'few open files or too little memory',
  connection_limit: 'the gateway is full: raise limits.connections, or run more gateways',
  tls_on_plain_port:
    'a TLS client came to a plain port: set `tls` on this listener and use wss, tls or auto, ' +
    'or end TLS in front of it',
  plain_on_tls_port:
    'a client without TLS came to a port that asks for it: let it connect with wss:// or tls://, ' +
    'or listen with auto, without require_client_cert',
  tls_failed:
    'a TLS handshake failed: clients need TLS 1.2 or newer and have to trust the certificate, and where ' +
    'require_client_cert is set they need one that `ca` has signed',
  http_on_tcp_port:
    'a WebSocket client or a browser came to a TCP port: use ws, wss or auto for this listener',
  tcp_on_ws_port:
    'a client of raw TCP came to a WebSocket port: use tcp, tls or auto for this listener; ' +
    'the json dialect is spoken over WebSocket only',
  bad_http:
    'what came is no HTTP request that can be read, for the reason in detail: a scan, another protocol, or a load ' +
    'balancer that sends a PROXY header',
  http_head_too_large:
    'the head of an HTTP request has over 16 KiB, cookies most often: send fewer of them to this host',
  bad_upgrade:
    'an upgrade to WebSocket is not as RFC 6455 has it, for the reason in detail: a proxy that drops headers, or no ' +
    'WebSocket client',
  not_grpc: 'what came does not begin as gRPC does: this port speaks gRPC without TLS',
  port_full:
    'the port has as many connections as it may: the descriptors of the process set how many',
  crowded_out:
    'the port was full, and this connection had waited longest without asking anything: it made place for a new one',
  wrong_path:
    'a WebSocket client asked for another path than `path` of this listener: change either',
  wrong_origin:
    'a browser came from a page whose Origin is not among `origins` of this listener: add it if it is yours',
  silent:
    'nothing was sent within limits.handshake: a port scan, or a probe that should ask the health port',
  slow_handshake:
    'the TLS handshake or the HTTP request was not complete within limits.handshake: a slow client, or an attack',
} as const;

/** Why a connection was turned away. */
export type RefusedConnection = keyof typeof REFUSALS;

/** At most one line per reason in this many milliseconds, so that a flood does not fill the disk. */
const LINE_EVERY_MS = 1_000;

/** One reason's lines. */
class Lines {
  /** Set while no line may be written. */
  readonly quiet: Timeout;
  isQuiet = false;
  /** Refusals since the last line, and whence the last one came. */
  leftOut = 0;
  remoteAddress = '';
  detail = '';

  constructor(onQuietOver: (lines: Lines) => void) {
    this.quiet = new Timeout(() => {
      onQuietOver(this);
    });
  }
}

/** The log of one listener's refusals. */
export class RefusalLog {
  readonly #listener: () => string;
  readonly #log: Log;
  readonly #wheel: TimerWheel;
  readonly #lines = new Map<RefusedConnection, Lines>();

  /** @param listener Where it listens. */
  constructor(listener: () => string, log: Log, wheel: TimerWheel) {
    this.#listener = listener;
    this.#log = log;
    this.#wheel = wheel;
  }

  /** @param detail What is known beyond the reason; empty: nothing. */
  note(why: RefusedConnection, remoteAddress: string, detail: string): void {
    let lines = this.#lines.get(why);
    if (lines === undefined) {
      lines = new Lines((over) => {
        this.#onQuietOver(why, over);
      });
      this.#lines.set(why, lines);
    }
    lines.remoteAddress = remoteAddress;
    lines.detail = detail;
    if (lines.isQuiet) lines.leftOut++;
    else this.#write(why, lines);
  }

  #onQuietOver(why: RefusedConnection, lines: Lines): void {
    lines.isQuiet = false;
    if (lines.leftOut > 0) this.#write(why, lines);
  }

  #write(why: RefusedConnection, lines: Lines): void {
    const { remoteAddress, detail, leftOut } = lines;
    this.#log.info(
      {
        why,
        what: REFUSALS[why],
        remoteAddress,
        listener: this.#listener(),
        ...(detail !== '' && { detail }),
        // Beside the one that this line is about.
        ...(leftOut > 1 && { leftOut: leftOut - 1 }),
      },
      'connection refused',
    );
    lines.leftOut = 0;
    lines.isQuiet = true;
    this.#wheel.set(lines.quiet, LINE_EVERY_MS);
  }
}
