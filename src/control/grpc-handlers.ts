/** The methods of Control as handlers of a gRPC server. */
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServiceDefinition,
  status,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { inBackground } from '../background.ts';
import { REASONS } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import { controlError, type Method, type Methods, notServed } from './service.ts';
import { sendAll } from './streaming.ts';

type MethodThat<Streams> = Extract<Method, { streams: Streams }>;

/** A handler for every method of the service; those that are not in `methods` say that they are not served. */
export function grpcHandlers(
  definitions: ServiceDefinition,
  methods: Methods,
  log: Log,
): UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(definitions).map(([name, { responseStream }]) => {
      const method = Object.hasOwn(methods, name) ? methods[name]! : null;
      if (method === null) return [name, unserved(notServed(name, methods), responseStream)];
      return [name, method.streams ? streaming(method, log) : unary(method, log)];
    }),
  );
}

function unserved(details: string, streams: boolean): UntypedHandleCall {
  const refusal = { code: REASONS.UNSUPPORTED.grpcStatus, details: `UNSUPPORTED: ${details}` };
  const stream: handleServerStreamingCall<unknown, object> = (call) => {
    call.emit('error', refusal);
  };
  const single: handleUnaryCall<unknown, object> = (_, callback) => {
    callback(refusal);
  };
  return streams ? stream : single;
}

function unary(method: MethodThat<false>, log: Log): handleUnaryCall<unknown, object> {
  return (call, callback) => {
    const answered = method.run(call.request).then((answer) => {
      callback(null, answer);
    });
    inBackground(answered, (error) => {
      callback(statusOf(error, log));
    });
  };
}

function streaming(method: MethodThat<true>, log: Log): handleServerStreamingCall<unknown, object> {
  return (call) => {
    sendAll(
      () => method.run(call.request),
      call,
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
