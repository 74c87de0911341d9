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
import { controlError, type Errors, type Method, type Methods, notServed } from './service.ts';
import { sendAll } from './streaming.ts';

type MethodThat<Streams> = Extract<Method, { streams: Streams }>;

/** A handler for every method of the service; those that are not in `methods` say that they are not served. */
export function grpcHandlers(
  definitions: ServiceDefinition,
  methods: Methods,
  errors: Errors,
): UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(definitions).map(([name, { responseStream }]) => {
      const method = Object.hasOwn(methods, name) ? methods[name]! : null;
      if (method === null) return [name, unserved(notServed(name, methods), responseStream)];
      return [name, method.streams ? streaming(method, errors) : unary(method, errors)];
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

function unary(method: MethodThat<false>, errors: Errors): handleUnaryCall<unknown, object> {
  return (call, callback) => {
    const answered = method.run(call.request).then((answer) => {
      callback(null, answer);
    });
    inBackground(answered, (error) => {
      callback(statusOf(error, errors));
    });
  };
}

function streaming(
  method: MethodThat<true>,
  errors: Errors,
): handleServerStreamingCall<unknown, object> {
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
        call.destroy(Object.assign(new Error(), statusOf(error, errors)));
      },
    );
  };
}

function statusOf(error: unknown, errors: Errors): { code: status; details: string } {
  const { reason, message } = controlError(error, errors);
  return { code: REASONS[reason].grpcStatus, details: `${reason}: ${message}` };
}
