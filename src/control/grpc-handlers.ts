/** The methods of Control as handlers of a gRPC server. */
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServiceDefinition,
  status,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { inBackground } from '../background.ts';
import type { Clock } from '../clock.ts';
import { REASONS } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Caller } from './access.ts';
import { controlError, type Method, type Methods, notServed } from './method.ts';
import { untilCut } from './lines.ts';
import { sendAll } from './streaming.ts';

/** Largest message of Control, in bytes. Only backends that attach may send more. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

export type HandlerParts = {
  readonly log: Log;
  readonly clock: Clock;
  /** Who makes a call, by its metadata. */
  readonly callerOf: (metadata: Metadata) => Caller;
};

type MethodThat<Streams> = Extract<Method, { streams: Streams }>;

/** A handler for every method of the service; those that are not in `methods` are answered UNIMPLEMENTED. */
export function grpcHandlers(
  definitions: ServiceDefinition,
  methods: Methods,
  parts: HandlerParts,
): UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(definitions).map(([name, { responseStream }]) => {
      const method = Object.hasOwn(methods, name) ? methods[name]! : null;
      if (method === null) return [name, unserved(notServed(name, methods), responseStream)];
      if (method.streams === 'requests') return [name, gathering(method, parts)];
      return [name, method.streams ? streaming(method, parts) : unary(method, parts)];
    }),
  );
}

function unserved(details: string, streams: boolean): UntypedHandleCall {
  const refusal = { code: REASONS.UNSUPPORTED.grpcStatus, details: `UNSUPPORTED: ${details}` };
  const stream: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    call.emit('error', refusal);
  };
  const single: handleUnaryCall<Buffer, Buffer> = (_, callback) => {
    callback(refusal);
  };
  return streams ? stream : single;
}

function unary(
  method: MethodThat<false>,
  { log, callerOf }: HandlerParts,
): handleUnaryCall<Buffer, Buffer> {
  return (call, callback) => {
    const answered = method
      .run(call.request, { caller: callerOf(call.metadata) })
      .then((answer) => {
        callback(null, answer);
      });
    inBackground(answered, (error) => {
      callback(statusOf(error, log));
    });
  };
}

function gathering(
  method: MethodThat<'requests'>,
  { log, callerOf }: HandlerParts,
): handleClientStreamingCall<Buffer, Buffer> {
  return (call, callback) => {
    // A caller that is cut off; nobody waits for the answer.
    call.on('error', () => {});
    const answered = method
      .run(untilCut(call), { caller: callerOf(call.metadata) })
      .then((answer) => {
        callback(null, answer);
      });
    inBackground(answered, (error) => {
      callback(call.cancelled ? CANCELLED : statusOf(error, log));
    });
  };
}

/** Nobody reads it. */
const CANCELLED = { code: 1, details: 'the caller has gone' } as const;

function streaming(
  method: MethodThat<true> | MethodThat<'held'>,
  { log, clock, callerOf }: HandlerParts,
): handleServerStreamingCall<Buffer, Buffer> {
  return (call) => {
    sendAll(
      (gone) => method.run(call.request, { caller: callerOf(call.metadata), gone }),
      call,
      clock,
      (answer) => call.write(answer),
    ).then(
      () => {
        call.end();
      },
      (error: unknown) => {
        call.destroy(Object.assign(new Error(), statusOf(error, log)));
      },
    );
  };
}

function statusOf(error: unknown, log: Log): { code: status; details: string } {
  const { reason, message } = controlError(error, log);
  return { code: REASONS[reason].grpcStatus, details: `${reason}: ${message}` };
}

/** The same service with messages left as bytes, and requests bounded. */
export function inBytes(definitions: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definitions).map(([name, method]) => {
      const read = (bytes: Buffer): Buffer => {
        if (bytes.length > MESSAGE_BYTES_MAX)
          throw new Error(`the message is over ${MESSAGE_BYTES_MAX} bytes`);
        return bytes;
      };
      return [name, { ...method, requestDeserialize: read, responseSerialize: raw }];
    }),
  );
}

const raw = (bytes: Buffer): Buffer => bytes;
