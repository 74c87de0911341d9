/** The transport over plain TCP and over TLS, for Node: in a file of its own, so that browser bundles do not include it. */
import net from 'node:net';
import tls from 'node:tls';

import { ownError } from './client-error.ts';
import type { Dial } from './transport.ts';

type Pem = string | Uint8Array;

/** Options for `tls://`, as for Node's `tls.connect`; written out, so that Node's types are not needed. */
export type TcpOptions = {
  /** Authorities to verify the server with, in PEM. Default: those of Node. */
  readonly ca?: Pem | readonly Pem[] | undefined;
  /** A client certificate, in PEM; needs `key`. */
  readonly cert?: Pem | undefined;
  readonly key?: Pem | undefined;
  /** Passphrase of the key. */
  readonly passphrase?: string | undefined;
  /** The name that the server's certificate must match. Default: the URL's host. */
  readonly servername?: string | undefined;
  /** false: accept any certificate. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
};

/** For `tcp://host:port` and `tls://host:port`, as in `new PithClient('tls://…', { dial: tcp({ ca }) })`. */
export function tcp(options: TcpOptions = {}): Dial {
  return (url, events) => {
    const { protocol, hostname, port } = new URL(url);
    const isTls = protocol === 'tls:';
    if ((!isTls && protocol !== 'tcp:') || hostname === '' || port === '') {
      throw ownError('BAD_URL', `expected tcp://host:port or tls://host:port, not ${url}`);
    }
    const host = hostname.replace(/^\[|\]$/g, '');
    const to = { host, port: Number(port), noDelay: true };
    const name = net.isIP(host) === 0 ? { servername: host } : {};
    const forTls = { ...to, ...name, ...options } as tls.ConnectionOptions;
    const socket = isTls ? tls.connect(forTls) : net.connect(to);
    socket.on(isTls ? 'secureConnect' : 'connect', () => {
      events.onOpen();
    });
    socket.on('data', ({ buffer, byteOffset, length }: Buffer) => {
      events.onData(new Uint8Array(buffer, byteOffset, length));
    });
    socket.on('error', (error) => {
      events.onEnd(error.message || 'the connection failed', error);
    });
    socket.on('close', () => {
      events.onEnd('closed by the server');
    });
    return {
      get bufferedBytes() {
        return socket.writableLength;
      },
      send(data) {
        socket.write(data);
      },
      close() {
        socket.end();
      },
      destroy() {
        socket.destroy();
      },
    };
  };
}
