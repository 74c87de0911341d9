/** What a method of Control is: bytes in, bytes out, the same over every transport. */
import { type Clock, nextTurn } from '../clock.ts';
import { type Failure, GatewayError, isFailure, isOwnReason, REASONS } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Caller } from './access.ts';
import type { Audit, AuditedCall } from './audit.ts';
import { readRequest, type Request } from './requests.ts';

/** How a method is called. */
export type Asked = {
  readonly caller: Caller;
  /** Infinite for a request that has been checked before; absent: `limits.convert`. */
  readonly convertBytesMax?: number;
  /** Aborted when the caller has gone. */
  readonly gone?: AbortSignal;
};

/** One method, from bytes to bytes. It throws; `controlError` makes the caller's error of that. */
export type Method =
  | { readonly streams: false; run(request: Buffer, asked: Asked): Promise<Buffer> }
  | {
      readonly streams: true;
      run(request: Buffer, asked: Asked): AsyncIterable<Buffer>;
    }
  | {
      /** It answers as long as the caller likes, and bounds by itself how many do. */
      readonly streams: 'held';
      run(request: Buffer, asked: Asked): AsyncIterable<Buffer>;
    }
  | {
      /** It takes many requests, and gives one answer. */
      readonly streams: 'requests';
      run(requests: AsyncIterable<Buffer>, asked: Asked): Promise<Buffer>;
    };

export type Methods = Readonly<Record<string, Method>>;

/** How methods are made of what they do. */
/** Of one stream, in one turn of the event loop: thousands may come at once. */
const REQUESTS_PER_TURN = 64;

export type MakeMethods = {
  readonly one: (
    name: string,
    run: (request: Request, call: AuditedCall) => Promise<Buffer> | Buffer,
  ) => Method;
  readonly many: (
    name: string,
    run: (request: Request, call: AuditedCall) => AsyncIterable<Buffer>,
  ) => Method;
  /** `gone` is aborted when the caller leaves, who is not kept waiting then. */
  readonly held: (
    name: string,
    run: (request: Request, call: AuditedCall, gone: AbortSignal) => AsyncIterable<Buffer>,
  ) => Method;
  readonly total: (
    name: string,
    run: (requests: AsyncIterable<Request>, call: AuditedCall) => Promise<Buffer>,
  ) => Method;
};

/** @param limit `limits.convert`. */
export function makeMethods(limit: number, clock: Clock, audit: Audit): MakeMethods {
  return {
    one: (name, run) => ({
      streams: false,
      run: (bytes, { caller, convertBytesMax = limit }) =>
        audited(audit.begin(name, caller), async (call) => {
          call.request = readRequest(name, bytes, convertBytesMax);
          return run(call.request, call);
        }),
    }),
    many: (name, run) => ({
      streams: true,
      async *run(bytes, { caller, convertBytesMax = limit }) {
        const call = audit.begin(name, caller);
        try {
          call.request = readRequest(name, bytes, convertBytesMax);
          for await (const answer of run(call.request, call)) {
            // Drain, above all: its end may be that of the process.
            call.end('OK');
            yield answer;
          }
          call.end('OK');
        } catch (error) {
          call.end(GatewayError.from(error).reason);
          throw error;
        }
      },
    }),
    held: (name, run) => ({
      streams: 'held',
      async *run(bytes, { caller, gone = NEVER, convertBytesMax = limit }) {
        const call = audit.begin(name, caller);
        try {
          call.request = readRequest(name, bytes, convertBytesMax);
          for await (const answer of run(call.request, call, gone)) {
            call.end('OK');
            yield answer;
          }
        } catch (error) {
          call.end(GatewayError.from(error).reason);
          throw error;
        } finally {
          call.over();
        }
      },
    }),
    total: (name, run) => ({
      streams: 'requests',
      run: (requests, { caller, convertBytesMax: bytesMax = limit }) =>
        audited(audit.begin(name, caller), (call) =>
          run(readEach(name, { requests, bytesMax, clock }), call),
        ),
    }),
  };
}

/** Of a caller of whom nothing more is heard. */
const NEVER = new AbortController().signal;

async function audited(
  call: AuditedCall,
  run: (call: AuditedCall) => Promise<Buffer>,
): Promise<Buffer> {
  try {
    const answer = await run(call);
    call.end('OK');
    return answer;
  } catch (error) {
    call.end(GatewayError.from(error).reason);
    throw error;
  }
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
