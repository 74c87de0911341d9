/** Why there is no answer over HTTP: what the client gets, and what the operator should check. Pure. */
import { errorText, type Reason } from '../../errors.ts';

export type Trouble = {
  readonly reason: Reason;
  /** Shown to the client; undefined: the standard text. Names no address. */
  readonly message: string | undefined;
  /** Names the kind of trouble in the log's rate; a small set. */
  readonly kind: string;
  /** For the log: what failed, and what to do. */
  readonly why: string;
  /** No connection could be made at all. */
  readonly away: boolean;
};

/** The backend's address as the configuration has it, for hints. */
export type Where = { readonly key: string; readonly url: string };

type Hint = (where: Where) => string;

/** Connections that could not be made, by Node's code. */
const NOT_MADE: Readonly<Record<string, Hint>> = {
  ECONNREFUSED: ({ key, url }) => `nothing listens at ${url}: start the backend, or correct ${key}`,
  ENOTFOUND: ({ key, url }) =>
    `the name in ${url} does not resolve: correct ${key}, or check the name server`,
  EAI_AGAIN: ({ url }) => `the name server did not answer for ${url}`,
  EHOSTUNREACH: ({ key, url }) => `no route to ${url}: check the network, or correct ${key}`,
  ENETUNREACH: ({ key, url }) => `no route to ${url}: check the network, or correct ${key}`,
  UND_ERR_CONNECT_TIMEOUT: silentPort,
  ETIMEDOUT: silentPort,
  EPROTO: noTls,
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: noTls,
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: ({ url }) =>
    `${url} does not speak HTTP/1.1 (is it for HTTP/2 only?)`,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  CERT_HAS_EXPIRED: ({ url }) => `the certificate of ${url} has expired: renew it`,
  CERT_NOT_YET_VALID: ({ url }) => `the certificate of ${url} is not valid yet: check the clocks`,
  ERR_TLS_CERT_ALTNAME_INVALID: ({ key, url }) =>
    `the certificate of ${url} is for another name: write that name into ${key}`,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: ownCertificate,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: ownCertificate,
};

/** Connections that broke. A request may have arrived. */
const BROKEN = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'ECONNABORTED']);

/**
 * What an error of the HTTP client means.
 *
 * @param began A byte of the answer has come.
 */
export function troubleOf(error: Error, where: Where, began: boolean): Trouble {
  const code = codeOf(error);
  const notMade = NOT_MADE[code];
  if (notMade !== undefined)
    return trouble('BACKEND_AWAY', { kind: code, why: notMade(where), away: true });
  if (BROKEN.has(code))
    return trouble('BACKEND_AWAY', { kind: code, why: broken(error, where, began) });
  if (error.name === 'HTTPParserError') return notHttp(error, where);
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return badReply(code, `${where.url} sent more headers than are read`);
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED')
    return trouble('BACKEND_AWAY', { kind: code, why: 'the gateway is stopping' });
  if (code.startsWith('UND_ERR_INVALID') || code === 'UND_ERR_NOT_SUPPORTED')
    return trouble('INTERNAL', {
      kind: code,
      why: `the request could not be made: ${errorText(error)}`,
    });
  return trouble('BACKEND_AWAY', {
    kind: code,
    why: `${where.url}: ${errorText(error)}`,
    away: !began,
  });
}

function broken(error: Error, { url }: Where, began: boolean): string {
  if (began) return `${url} closed the connection in the middle of its answer`;
  const spoken = url.startsWith('https:') ? 'HTTP/1.1 over TLS' : 'HTTP/1.1 without TLS';
  return `${url} closed the connection before it answered (${errorText(error)}); if it always does: does this port speak ${spoken}?`;
}

/** An answer that is refused. `message` may be shown to the client. */
export function badReply(kind: string, why: string, message?: string): Trouble {
  return trouble('BAD_REPLY', { kind, why, message });
}

function trouble(
  reason: Reason,
  facts: { kind: string; why: string; message?: string | undefined; away?: boolean },
): Trouble {
  const { kind, why, message, away = false } = facts;
  return { reason, message, kind, why, away };
}

/** Several attempts, over IPv6 and IPv4, fail as one error. */
function codeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (typeof code === 'string') return code;
  const [first] = error instanceof AggregateError ? (error.errors as NodeJS.ErrnoException[]) : [];
  return first?.code ?? error.name;
}

/** The first bytes tell what else speaks there. */
function notHttp(error: Error, { key, url }: Where): Trouble {
  const data = (error as { data?: Buffer | string }).data ?? '';
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
  // [RFC 8446 section 5.1] An alert or a handshake record. [RFC 9113 section 4.1] A frame's type is its fourth byte.
  const isTls = (bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 0x03;
  const isHttp2 = bytes.length >= 9 && (bytes[3] === 0x04 || bytes[3] === 0x07);
  if (isTls) return badReply('tls', `${url} speaks TLS: write https:// in ${key}`);
  if (isHttp2)
    return badReply(
      'http2',
      `${url} speaks HTTP/2 only, as gRPC does: use grpc:, or let it speak HTTP/1.1`,
    );
  return badReply('not-http', `what ${url} sent is not HTTP/1.1: ${errorText(error)}`);
}

function silentPort({ key, url }: Where): string {
  return `${url} did not accept a connection in time: check firewalls, or correct ${key}`;
}

function noTls({ key, url }: Where): string {
  return `${url} does not speak TLS: write http:// in ${key}`;
}

function unknownAuthority({ key, url }: Where): string {
  return `the certificate of ${url} is of an unknown authority: name it in ${tlsKey(key)}.ca`;
}

function ownCertificate({ key, url }: Where): string {
  return `${url} refused the TLS handshake: if it asks for a certificate, set ${tlsKey(key)}.cert and .key`;
}

function tlsKey(key: string): string {
  return key.replace(/\.http$/, '.tls');
}

/** What an answer says if the configuration points at something that is not the backend; null: it does not. */
export function misledBy(
  status: number,
  location: string,
  body: Buffer,
  { key, url }: Where,
): Trouble | null {
  if (status >= 300 && status < 400) {
    const to = location === '' ? '' : ` to ${location.slice(0, 200)}`;
    const why = `${url} answered ${status}, a redirect${to}; none is followed: correct ${key}, or the route's path`;
    return badReply('redirect', why, 'the backend answered with a redirect');
  }
  // [net/http, nginx] What a TLS port answers to plain HTTP.
  if (status === 400 && /HTTPS (server|port)/.test(body.toString('latin1', 0, 512)))
    return badReply('tls', `${url} speaks TLS: write https:// in ${key}`);
  return null;
}
