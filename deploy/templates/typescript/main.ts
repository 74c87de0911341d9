/** A backend of Pith on gRPC: it answers hello.world.greet, and pushes onGreet to the player who asked. */
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

// The messages of proto/pith/v1, with names in camelCase.
type Request = {
  route: string;
  body: Buffer;
  notify: boolean;
  session: { sid: string; uid: string } | null;
};
type Reply = { body?: object; error?: object; patch?: object; pushes?: object[] };

/** Called for each message; the gateway calls it for many at once. */
function handle({ route, body }: Request): Reply {
  if (route !== 'hello.world.greet') return fail(404, 'NO_ROUTE', `no such route: ${route}`);
  const name = nameIn(body);
  if (name === null) return fail(400, 'BAD_BODY', 'expected {"name":"ann"}');
  return {
    body: bytes({ hello: name }),
    // Without a target it goes to the session that has asked. target: { uids: […] } and { groups: […] } reach others.
    pushes: [{ route: 'onGreet', body: bytes({ text: `welcome, ${name}` }) }],
    // A login binds the session to a uid, which the gateway then sends with each message of the player:
    // patch: { uid: name },
  };
}

function nameIn(body: Buffer): string | null {
  try {
    const { name } = JSON.parse(body.toString()) as { name?: unknown };
    return typeof name === 'string' && name !== '' ? name : null;
  } catch {
    return null;
  }
}

function bytes(value: object): object {
  return { bytes: Buffer.from(JSON.stringify(value)) };
}

/** What the client gets as {"code":400,"reason":"BAD_BODY","msg":"…"}. */
function fail(code: number, reason: string, message: string): Reply {
  return { error: { code, reason, message } };
}

const protos = fileURLToPath(new URL('proto', import.meta.url));
const definition = loadSync('pith/v1/backend.proto', { includeDirs: [protos], defaults: true });
const server = new grpc.Server();
server.addService(definition['pith.v1.Backend'] as grpc.ServiceDefinition, {
  Handle: (call: { request: Request }, done: grpc.sendUnaryData<Reply>) =>
    done(null, handle(call.request)),
});

const address = process.env['ADDR'] || '127.0.0.1:9000';
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    console.error(`hello: ${error.message}`);
    process.exit(1);
  }
  console.log(`hello: listening on ${address.replace(/\d+$/, String(port))}`);
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    server.tryShutdown(() => process.exit(0));
    setTimeout(() => process.exit(0), 5_000);
  });
}
