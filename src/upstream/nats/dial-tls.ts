/** TLS towards nats-server: which names a certificate may have, and what to do about one that is refused. */
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';

import { errorText } from '../../errors.ts';

/** Where a connection goes, as the client library has it. */
export type DialledServer = {
  /** An address, or a name that is not resolved any further. */
  readonly hostname: string;
  /** The name that led to the address; '': none. */
  readonly tlsName: string;
};

/**
 * The names of which a server's certificate must have one. Servers of a cluster announce each other by address, but
 * their certificates usually have names: such a server may show a name that the configuration has for another one.
 *
 * @param configured Hosts of the servers in the configuration.
 */
export function namesOf(
  { hostname, tlsName }: DialledServer,
  configured: readonly string[],
): readonly string[] {
  if (tlsName !== '') return [tlsName];
  if (configured.includes(hostname)) return [hostname];
  return [hostname, ...configured.filter((host) => isIP(host) === 0)];
}

/** What is wrong with the certificate; undefined: it has one of the names. */
export function identityError(
  names: readonly string[],
  certificate: PeerCertificate,
): Error | undefined {
  const errors = names.map((name) => checkServerIdentity(name, certificate));
  return errors.includes(undefined) ? undefined : errors[0];
}

/** We have none, whichever way the server says so. */
export const NO_CERTIFICATE =
  'the server wants a certificate of ours: set nats.tls.cert and nats.tls.key to one that its ca has signed';
const UNTRUSTED: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
]);

/** What TLS failed for, as an operator can act on it; '': it is about something else. */
export function tlsTrouble(error: unknown): string {
  const { code = '', cause } = error as NodeJS.ErrnoException;
  // Without Node's own advice, which is about Node's options.
  const text = errorText(error).split('; if the root CA', 1)[0]!;
  if (UNTRUSTED.has(code))
    return `the server's certificate is not trusted (${text}): set nats.tls.ca to the authority that signed it`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the server's certificate is for other names than the one in bus: ${text}`;
  if (text.includes("does not support 'tls'"))
    return 'the server offers no TLS, which tls:// and nats.tls ask for: turn it on there, or use nats:// without nats.tls';
  if (text.includes('alert certificate required')) return NO_CERTIFICATE;
  if (/alert (handshake failure|bad certificate|unknown ca)/.test(text))
    return `the server refuses our certificate (${text}): set nats.tls.cert and nats.tls.key to one that its ca has signed`;
  return cause === undefined ? '' : tlsTrouble(cause);
}
