/** What a gRPC status other than OK means to the client. The status is infrastructure: application errors ride in a Reply. */
import { type ServiceError, status } from '@grpc/grpc-js';

import { type Failure, failure, type Reason } from '../../errors.ts';

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
export function failureOfStatus(error: ServiceError): Failure {
  return failure(REASON_OF_STATUS[error.code] ?? 'BACKEND_ERROR');
}

/** Why a call or a stream ended, with a hint for the operator where the error's own text misleads. */
export function hint(error: ServiceError): string {
  const text = error.details || error.message;
  return text.includes('Protocol error') ? `${text} (does this port speak gRPC?)` : text;
}
