/** Sends messages over NATS. Their size is checked first: one that is too large is a failure, never an exception. */
import { errorText, type Failure, failure, GatewayError } from '../../errors.ts';
import type { NatsConnector } from './nats-connector.ts';
import { HEADER_BYTES_MAX, type HeaderBlock } from './header-block.ts';

export type Outgoing = {
  readonly subject: string;
  readonly payload: Uint8Array;
  /** '' or absent: no answer is wanted. */
  readonly reply?: string;
  readonly headers?: HeaderBlock;
};

/** The connection, as far as sending needs it. */
export type SendConnection = Pick<NatsConnector, 'up' | 'payloadBytesMax' | 'publish'>;

/** Publishes it. Returns why it could not, and then nothing has been sent; it never throws. */
export function send(connector: SendConnection, outgoing: Outgoing): Failure | null {
  const { subject, payload, headers } = outgoing;
  if (!connector.up) return failure('BUS_AWAY');
  const tooLarge = tooLargeFor(connector, payload.length, headers?.bytes ?? 0);
  if (tooLarge !== null) return tooLarge;
  try {
    // A request passes here: no object is made of it. The library sets `reply` if it is absent.
    connector.publish(subject, payload, outgoing);
    return null;
  } catch (error) {
    return error instanceof GatewayError
      ? failure(error.reason, error.message)
      : failure('BUS_AWAY', errorText(error));
  }
}

/** Why a message of this size cannot be sent; null: it can. */
export function tooLargeFor(
  connector: Pick<SendConnection, 'payloadBytesMax'>,
  payloadBytes: number,
  headerBytes: number,
): Failure | null {
  const bytes = payloadBytes + headerBytes;
  const bytesMax = connector.payloadBytesMax;
  if (bytes > bytesMax)
    return failure(
      'TOO_LARGE',
      `${bytes} bytes, but NATS takes at most ${bytesMax} in one message: send less, or raise max_payload of nats-server`,
    );
  if (headerBytes > HEADER_BYTES_MAX)
    return failure(
      'TOO_LARGE',
      `${headerBytes} bytes of names and conditions, but at most ${HEADER_BYTES_MAX} are sent in one message`,
    );
  return null;
}
