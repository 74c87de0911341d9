/** What a method of Control is: bytes in, bytes out, the same over every transport. */
import { type Clock, nextTurn } from '../clock.ts';
import { type Failure, GatewayError, isFailure, isOwnReason, REASONS } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { readRequest, type Request } from './requests.ts';

/**
 * One method, from bytes to bytes. `convertBytesMax` is infinite for a request that has been checked before. It throws;
 * `controlError` makes the caller's error of that.
 */
export type Method =
  | { readonly streams: false; run(request: Buffer, convertBytesMax?: number): Promise<Buffer> }
  | {
      readonly streams: true;
      run(request: Buffer, convertBytesMax?: number): AsyncIterable<Buffer>;
    }
  | {
      /** It takes many requests, and gives one answer. */
      readonly streams: 'requests';
      run(requests: AsyncIterable<Buffer>, convertBytesMax?: number): Promise<Buffer>;
    };

export type Methods = Readonly<Record<string, Method>>;

/** How methods are made of what they do. */
/** Of one stream, in one turn of the event loop: thousands may come at once. */
const REQUESTS_PER_TURN = 64;

export type MakeMethods = {
  readonly one: (name: string, run: (request: Request) => Promise<Buffer> | Buffer) => Method;
  readonly many: (name: string, run: (request: Request) => AsyncIterable<Buffer>) => Method;
  readonly total: (
    name: string,
    run: (requests: AsyncIterable<Request>) => Promise<Buffer>,
  ) => Method;
};

/** @param limit `limits.convert`. */
export function makeMethods(limit: number, clock: Clock): MakeMethods {
  return {
    one: (name, run) => ({
      streams: false,
      // A synchronous error becomes a rejection too.
      run: async (bytes, bytesMax = limit) => run(readRequest(name, bytes, bytesMax)),
    }),
    many: (name, run) => ({
      streams: true,
      async *run(bytes, bytesMax = limit) {
        yield* run(readRequest(name, bytes, bytesMax));
      },
    }),
    total: (name, run) => ({
      streams: 'requests',
      run: (requests, bytesMax = limit) => run(readEach(name, { requests, bytesMax, clock })),
    }),
  };
}

type Stream = {
  readonly requests: AsyncIterable<Buffer>;
  readonly bytesMax: number;
  readonly clock: Clock;
};

async function* readEach(
  name: string,
  { requests, bytesMax, clock }: Stream,
): AsyncGenerator<Request> {
  let n = 1;
  try {
    for await (const bytes of requests) {
      yield readRequest(name, bytes, bytesMax);
      if (n++ % REQUESTS_PER_TURN === 0) await nextTurn(clock);
    }
  } catch (error) {
    throw nthRequest(error, n);
  }
}

/** An error that says which of many requests it is about. */
export function nthRequest(error: unknown, n: number): GatewayError {
  const { reason, message, cause } = GatewayError.from(error);
  const text = `request ${n}: ${message}; those before it were carried out`;
  return new GatewayError(reason, text, { cause });
}

/** The answer for a method of a later release. */
export function notServed(name: string, methods: Methods): string {
  const served = Object.keys(methods).join(', ');
  return `${name} is not in this release, which serves ${served}`;
}

/** The value, or its Failure thrown. */
export function orThrow<T extends object>(value: T | Failure): T {
  if (!isFailure(value)) return value;
  const { reason, message } = value;
  throw new GatewayError(isOwnReason(reason) ? reason : 'BACKEND_ERROR', message);
}

/** The caller's error; one that is not the caller's fault is logged as well. */
export function controlError(error: unknown, log: Log): GatewayError {
  const known = GatewayError.from(error);
  if (REASONS[known.reason].log === 'error')
    log.error({ err: known.cause ?? known }, 'control call failed');
  return known;
}
