/** The same for the kinds on gRPC: a Link, Handle, and a method of a service of its own. */
import {
  loadPackageDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceClientConstructor,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import { GrpcBackend } from '../../support/grpc-backend.ts';
import type { InstanceOrder } from './instance.ts';
import { type Ask, PROTO_DIR } from './kinds.ts';

export const SERVE_GRPC = { link, handle, method } as const;

async function link(order: InstanceOrder, ask: Ask): Promise<() => Promise<void>> {
  const backend = await onGrpc(order, ask, 'hello');
  return async () => {
    for (const one of backend.links) one.goaway();
    // The gateway ends each link when it has its answers.
    await backend.finish();
  };
}

async function handle(order: InstanceOrder, ask: Ask): Promise<() => Promise<void>> {
  const backend = await onGrpc(order, ask, 'unimplemented');
  return () => backend.finish();
}

function onGrpc({ name, where }: InstanceOrder, ask: Ask, kind: 'hello' | 'unimplemented') {
  return GrpcBackend.start({
    instance: name,
    address: where,
    link: kind,
    handler: (asked) => {
      ask(asked.request.body, (body) => {
        asked.reply({ body: { bytes: body } });
      });
    },
  });
}

async function method({ where }: InstanceOrder, ask: Ask): Promise<() => Promise<void>> {
  const loaded = loadPackageDefinition(loadSync('rollout.proto', { includeDirs: [PROTO_DIR] }));
  const { Rollout } = loaded['rollout'] as { Rollout: ServiceClientConstructor };
  const server = new Server();
  const Ask = (call: ServerUnaryCall<object, object>, done: sendUnaryData<object>): void => {
    ask(Buffer.from(JSON.stringify(call.request)), (body) => {
      done(null, JSON.parse(body.toString()) as object);
    });
  };
  server.addService(Rollout.service, { Ask } as UntypedServiceImplementation);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(where, ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  return () => shutDown(server);
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.tryShutdown(() => {
      resolve();
    });
  });
}
