/** What a gRPC status other than OK means to the client. The status is infrastructure: application errors ride in a Reply. */
import { status } from '@grpc/grpc-js';

import { type Failure, failure, type Reason } from '../../errors.ts';
import type { CallError } from './grpc-connection.ts';

const REASON_OF_STATUS: Readonly<Record<number, Reason>> = {
  [status.INVALID_ARGUMENT]: 'BAD_BODY',
  [status.UNAUTHENTICATED]: 'NOT_BOUND',
  [status.PERMISSION_DENIED]: 'FORBIDDEN',
  [status.UNAVAILABLE]: 'BACKEND_AWAY',
  // Nobody here has cancelled it: a server that is going does.
  [status.CANCELLED]: 'BACKEND_AWAY',
  [status.RESOURCE_EXHAUSTED]: 'OVERLOADED',
  [status.DEADLINE_EXCEEDED]: 'TIMEOUT',
};

/** The failure of a Handle call. The backend's own words go to the log, not to the client. */
export function failureOfStatus(error: CallError): Failure {
  return failure(REASON_OF_STATUS[error.code] ?? 'BACKEND_ERROR');
}

/** True when our own side has refused a message for its size. A server that refuses ours says it of its own bound. */
export function isRefusedHere({ code, details }: CallError, bytesMax: number): boolean {
  return (
    code === status.RESOURCE_EXHAUSTED &&
    details.startsWith('Received message larger than max') &&
    details.endsWith(`vs ${bytesMax})`)
  );
}

/** What grpc-js says when it could not connect, and about which error of the system. */
const NOT_CONNECTED = /^No connection established\. Last error: (.*?)(?:\. Resolution note:.*)?$/s;
/** The time that it adds, which makes each attempt look like news. */
const TIME = / ?\(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g;

/** What an error of a connection means, and what to do. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nothing listens there: start the backend, or correct its address'],
  [/ENOENT/, 'there is no socket: start the backend, or correct its path'],
  [/EACCES|EPERM/, 'no permission to open the socket: give this user write access'],
  [/ETIMEDOUT/, 'it did not accept a connection in time: check firewalls, or correct its address'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no route to it: check the network'],
  [/wrong version number|packet length too long/i, 'it does not speak TLS: leave tls out'],
  [/altname/i, 'its certificate is for another name: write that name into the address'],
  [/certificate has expired/i, 'its certificate has expired: renew it'],
  [
    /self.signed|unable to (?:verify|get)/i,
    'its certificate is of an unknown authority: set tls.ca',
  ],
  [
    /certificate required|handshake failure/i,
    'it refused the TLS handshake: if it asks for a certificate, set tls.cert and tls.key',
  ],
  [/protocol error/i, 'what it sent is not HTTP/2 (does this port speak gRPC?)'],
  [
    /ECONNRESET|EPIPE|hang up|socket closed|disconnected|failed to connect/i,
    'it closed the connection at once',
  ],
];

/** Why a call or a stream ended, for the log: in our words where grpc-js's own say less, the same for the same cause. */
export function hint(error: Pick<CallError, 'details'> & { readonly message?: string }): string {
  const text = (error.details || (error.message ?? '')).replace(TIME, '');
  const [, cause] = NOT_CONNECTED.exec(text) ?? [];
  if (cause !== undefined) return WORDS.find(([pattern]) => pattern.test(cause))?.[1] ?? cause;
  if (text === 'Connection dropped') return 'the connection was lost';
  if (text.includes('Failed to connect before the deadline')) return 'no connection in time';
  const [, came, max] = /^Received message larger than max \((\d+) vs (\d+)\)$/.exec(text) ?? [];
  if (came !== undefined) return `a message of ${came} bytes came; at most ${max} are read`;
  return text.includes('Protocol error') ? `${text} (does this port speak gRPC?)` : text;
}
