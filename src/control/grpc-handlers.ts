/** The methods of Control as handlers of a gRPC server. */
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  status,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { REASONS } from '../errors.ts';
import { controlError, type Errors, type Method, type Methods } from './service.ts';
import { sendAll } from './streaming.ts';

type MethodThat<Streams> = Extract<Method, { streams: Streams }>;

/** By name; methods that are not here the server answers with UNIMPLEMENTED. */
export function grpcHandlers(methods: Methods, errors: Errors): UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [
      name,
      method.streams ? streaming(method, errors) : unary(method, errors),
    ]),
  );
}

function unary(method: MethodThat<false>, errors: Errors): handleUnaryCall<unknown, object> {
  return (call, callback) => {
    method.run(call.request).then(
      (answer) => {
        callback(null, answer);
      },
      (error: unknown) => {
        callback(statusOf(error, errors));
      },
    );
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
