/** Connections that were refused before they became sessions: why, what to do about it, and their log. */
import type { Log } from '../telemetry/log.ts';
import { Timeout, type TimerWheel } from '../timer-wheel.ts';

/** Every reason, with what happened and what to do. Reasons are labels of pith_connections_refused_total. */
export const REFUSALS = {
  accept_failed:
    'the system could not hand over a connection, see `detail`: usually a firewall, too few file descriptors or too ' +
    'little memory',
  connection_limit: 'the gateway is full: raise limits.connections, or run more gateways',
  address_limit:
    'an address, or a network of 64 bits of IPv6, has as many connections as it may have, see `detail`: many players ' +
    'behind one address need more, and a proxy must be in trusted_proxies, or all its players count as one',
  tls_on_plain_port:
    'a TLS client connected to a port without TLS: set `tls` on this listener and use wss, tls or auto, ' +
    'or terminate TLS in front of it; on control and admin set their `tls`',
  plain_on_tls_port:
    'a client without TLS connected to a TLS port: let it connect with wss:// or tls://, ' +
    'or use auto for this listener, without require_client_cert; on control and admin use a client with TLS',
  tls_failed:
    'a TLS handshake failed: clients need TLS 1.2 or newer and must trust the certificate, and with ' +
    'require_client_cert they need a certificate signed by `ca`',
  http_on_tcp_port:
    'a WebSocket client or a browser connected to a TCP port: use ws, wss or auto for this listener',
  tcp_on_ws_port:
    'a raw TCP client connected to a WebSocket port: use tcp, tls or auto for this listener; ' +
    'the json dialect needs WebSocket',
  bad_http:
    'not a valid HTTP request, see `detail`: a port scan, another protocol, or a load balancer that sends a PROXY ' +
    'header',
  http_head_too_large:
    'the head of an HTTP request is over 16 KiB, usually because of cookies: send fewer of them to this host',
  bad_upgrade:
    'not a valid WebSocket upgrade (RFC 6455), see `detail`: a proxy that drops headers, or not a WebSocket client',
  not_grpc:
    'the connection does not begin like gRPC, which this port speaks; HTTP with JSON is on the admin port',
  port_full:
    'the port has as many connections as it may have: the limit follows from the file descriptors of the process',
  crowded_out:
    'the port was full, and this connection had waited longest without a request: it made room for a new one',
  wrong_path:
    'a WebSocket client requested a path other than `path` of this listener: change one of them',
  wrong_origin:
    'a page whose Origin is not among `origins` of this listener tried to connect: add it if it is yours',
  untrusted_proxy:
    'a connection, or a PROXY header, from an address that is not in `trusted_proxies` of this listener: add it if it ' +
    'is a proxy of yours; clients may come past the proxy only with proxy_protocol: optional',
  no_proxy_header:
    'a trusted proxy connected without a PROXY header, which proxy_protocol: required demands: let it send one ' +
    '(HAProxy: send-proxy-v2; nginx: proxy_protocol on), or use optional',
  bad_proxy_header: 'a PROXY header that is wrong, see `detail`: not a proxy, or a faulty one',
  slow_proxy_header: 'a PROXY header was not complete within limits.handshake',
  unexpected_proxy_header:
    'a connection began with a PROXY header, which this listener does not read: set proxy_protocol and ' +
    'trusted_proxies, or turn it off in the proxy',
  forwarded_conflict:
    'X-Forwarded-For and Forwarded name different clients, see `detail`: let the proxy nearest to the gateway set one ' +
    'of them and remove the other, which it passes on as the client sent it',
  blocked:
    'the address is in a network that is blocked, through Control or by blocks.file: ListBlocks shows which',
  silent:
    'nothing was sent within limits.handshake: a port scan, or a probe that should use the health port',
  workers_full:
    'with `workers`: 4,096 new connections wait for each of them already, in a rush or because they hang: run more gateways',
  no_worker:
    'with `workers`: none was there to take it, and 1,024 connections wait for one already: the log says why workers have ended',
  waited_too_long:
    'more came than limits.accepts_per_second lets in, and this one waited for a minute: raise it, or run more gateways',
  slow_handshake:
    'the TLS handshake or the HTTP request was not complete within limits.handshake: a slow client, or an attack',
} as const;

/** Why a connection was refused. */
export type RefusedConnection = keyof typeof REFUSALS;

/** The same with what else is known; '': nothing. */
export type Refused = { readonly why: RefusedConnection; readonly detail: string };

/** At most one line per reason in this many milliseconds, so that a flood does not fill the disk. */
const LINE_EVERY_MS = 1_000;

/** The log lines of one reason. */
class Lines {
  /** Runs while no line may be written. */
  readonly quiet: Timeout;
  isQuiet = false;
  /** Refusals since the last line, and where the latest came from. */
  leftOut = 0;
  remoteAddress = '';
  detail = '';

  constructor(onQuietOver: (lines: Lines) => void) {
    this.quiet = new Timeout(() => {
      onQuietOver(this);
    });
  }
}

/** Logs the refusals of one listener. */
export class RefusalLog {
  readonly #listener: () => string;
  readonly #log: Log;
  readonly #wheel: TimerWheel;
  readonly #lines = new Map<RefusedConnection, Lines>();

  /** @param listener Its name in the log. */
  constructor(listener: () => string, log: Log, wheel: TimerWheel) {
    this.#listener = listener;
    this.#log = log;
    this.#wheel = wheel;
  }

  /** @param detail What else is known; empty: nothing. */
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
        // Besides the one that this line is about.
        ...(leftOut > 1 && { leftOut: leftOut - 1 }),
      },
      'connection refused',
    );
    lines.leftOut = 0;
    lines.isQuiet = true;
    this.#wheel.set(lines.quiet, LINE_EVERY_MS);
  }
}
