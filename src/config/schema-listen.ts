/** Keys about listening: for clients, for health and metrics, for control and for administration. */
import { z } from 'zod';
import { parseNetwork } from '../ip.ts';
import { isHostName, parseAddress, parseHostPort, parseListenUrl } from './address.ts';
import { autoFlag, checkOf, choice, flag, path, secretPath, text, texts } from './fields.ts';
import { accessKeys } from './schema-access.ts';
import { dialectKeys } from './schema-dialects.ts';

/** Files of a TLS server; each a path or PEM text, read again when the files change. */
export const serverTlsSchema = z
  .strictObject({
    cert: path('pem', 'Certificate chain, our own first: a path or PEM; empty: no TLS.'),
    key: secretPath('pem', 'Private key of the certificate, without a passphrase: a path or PEM.'),
    ca: path('pem', 'Authorities that client certificates are checked against: a path or PEM.'),
    require_client_cert: flag(
      false,
      'Refuse clients without a certificate signed by `ca`; with `auto` also those without TLS.',
    ),
  })
  .prefault({})
  .describe('TLS of this listener; off without a certificate.');

/** Files of a TLS client; each a path or PEM text. */
const clientTlsKeys = {
  cert: path('pem', 'Our certificate, where the server asks for one: a path or PEM.'),
  key: secretPath('pem', 'Private key of the certificate: a path or PEM.'),
  ca: path(
    'pem',
    "Authorities that the server is checked against; empty or system: the system's own.",
  ),
};

/** TLS towards a server of which nothing else has to be known. */
export const clientTlsSchema = z
  .strictObject(clientTlsKeys)
  .prefault({})
  .describe('TLS towards the server.');

/** TLS towards nats-server. */
export const natsTlsSchema = z
  .strictObject({
    ...clientTlsKeys,
    handshake_first: flag(
      false,
      'The servers speak TLS from the first byte on, as with their own handshake_first: true.',
    ),
  })
  .prefault({})
  .describe('TLS towards the servers, for tls:// in `bus`; read again for each connection.');

/** One listener for clients. */
export const listenSchema = z
  .strictObject({
    url: text(
      'auto://0.0.0.0:3010',
      'Where clients connect: ws, wss, tcp, tls or auto://host:port. `auto` takes WebSocket and TCP on ' +
        'one port, and both over TLS too when `tls` is set; wss and tls take TLS only. Port 0: any free port.',
      checkOf(parseListenUrl),
    ),
    ...dialectKeys,
    path: text(
      '*',
      'WebSocket path, exactly and without a query; others get 404. `*`: any.',
      (value) =>
        value === '*' || /^\/[^\s?#]*$/.test(value)
          ? undefined
          : 'expected "*" or a path, as /game',
    ),
    origins: texts(
      'Pages that browsers may connect from, as https://game.example.com; others get 403. Empty: any. ' +
        'A client that sends no Origin is accepted: only browsers send one.',
      (value) =>
        /^[a-z][a-z0-9+.-]*:\/\/[^/\s]+$/.test(value)
          ? undefined
          : 'expected scheme and host without a path, as https://game.example.com',
    ),
    proxy_protocol: choice(
      ['none', 'optional', 'required'],
      'none',
      'PROXY headers, version 1 or 2, in front of the bytes of a client and of TLS. required: only trusted_proxies ' +
        'may connect, and send one; optional: they may, and others connect without; none: no header is accepted.',
    ),
    trusted_proxies: texts(
      'Networks of the proxies that are believed about where a client is: by a PROXY header, and over WebSocket by ' +
        'X-Forwarded-For or Forwarded, read from the right up to the first address that is not trusted. Empty: none.',
      (value) =>
        parseNetwork(value) === null ? 'expected a network, as 10.0.0.0/8 or fd00::/8' : undefined,
    ),
    tls: serverTlsSchema,
  })
  .describe('One listener for clients.');

/** The port for probes and scrapers. */
export const healthSchema = z
  .strictObject({
    listen: text(
      '0.0.0.0:7072',
      'host:port of /livez, /readyz and /metrics.',
      checkOf(parseHostPort),
    ),
  })
  .prefault({})
  .describe('Health and metrics, nothing else; for probes from outside the pod.');

/** The gRPC control service. */
export const controlSchema = z
  .strictObject({
    listen: text(
      '127.0.0.1:7070',
      'host:port, or unix:/path. Beyond loopback only with a token or client certificates.',
      checkOf(parseAddress),
    ),
    ...accessKeys,
    tls: serverTlsSchema,
  })
  .prefault({})
  .describe('The gRPC control service.');

/** As browsers write it in Host, but for its port. */
function checkAdminHost(name: string): string | undefined {
  if (isHostName(name) && name === name.toLowerCase()) return undefined;
  return 'expected a host name in small letters, without a port, as ops.example.com';
}

/** The administrative HTTP port. */
export const adminSchema = z
  .strictObject({
    listen: text(
      '127.0.0.1:7071',
      'host:port. Beyond loopback only with a token or client certificates.',
      checkOf(parseHostPort),
    ),
    ...accessKeys,
    tls: serverTlsSchema,
    hosts: texts(
      'Names by which browsers and callers may reach the port, besides addresses and localhost, e.g. ops.example.com. Without one: any name where a token or a certificate is needed, none where not.',
      checkAdminHost,
    ),
    watch_bodies: flag(
      false,
      'Show the bodies of messages to those who may write and ask for them: Watch, pith watch.',
    ),
    playground: autoFlag('/playground, a client in the browser; auto: only on loopback.'),
    console: autoFlag('/console, sessions and traffic in the browser; auto: only on loopback.'),
  })
  .prefault({})
  .describe("Administration over HTTP: health's paths, POST /v1/<Method>, /playground, /console.");

/** One listener for clients; its URL is taken apart by `parseListenUrl`. */
export type ListenConfig = z.output<typeof listenSchema>;
/** The port for probes and scrapers. */
export type HealthConfig = z.output<typeof healthSchema>;
/** The gRPC control service. */
export type ControlConfig = z.output<typeof controlSchema>;
/** The administrative HTTP port. */
export type AdminConfig = z.output<typeof adminSchema>;
/** Files of a TLS server. */
export type ServerTlsConfig = z.output<typeof serverTlsSchema>;
/** Files of a TLS client. */
export type ClientTlsConfig = z.output<typeof clientTlsSchema>;
