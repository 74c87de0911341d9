/** Every target by its name. A worker loads its own alone: the fewer scripts there are, the faster counters are read. */
import type { Target } from './target.ts';

type Entry = {
  /** Libraries that are loaded before the counters start: their blocks are not ours to count. */
  readonly preload: () => Promise<unknown>;
  readonly load: () => Promise<Target>;
};
type Module = () => Promise<{ targets: readonly Target[] }>;
type Preload = () => Promise<unknown>;

const nothing: Preload = () => Promise.resolve();
const protobuf: Preload = () =>
  Promise.all([import('@bufbuild/protobuf'), import('@bufbuild/protobuf/wkt')]);

const grpc: Preload = () => Promise.all([protobuf(), import('@grpc/grpc-js'), import('yaml')]);
const webSocket: Preload = () => import('ws');
const yaml: Preload = () => Promise.all([import('yaml'), import('zod')]);

/** The targets of a module, which exports them in one list. */
function from(module: Module, names: readonly string[], preload = nothing): Record<string, Entry> {
  const load = async (name: string): Promise<Target> => {
    const { targets } = await module();
    const found = targets.find((target) => target.name === name);
    if (found === undefined) throw new Error(`no target is named ${name} where targets.ts says`);
    return found;
  };
  return Object.fromEntries(names.map((name) => [name, { preload, load: () => load(name) }]));
}

export const TARGETS: Readonly<Record<string, Entry>> = {
  ...from(() => import('./targets/packets.ts'), ['packets', 'texts', 'message', 'text']),
  ...from(
    () => import('./targets/json.ts'),
    ['json-scan', 'json-numbers', 'exact-json', 'json-bounded'],
  ),
  ...from(
    () => import('./targets/pomelo-protobuf.ts'),
    ['pomelo-protobuf', 'pomelo-protobuf-json', 'pomelo-definitions'],
  ),
  ...from(
    () => import('./targets/frames.ts'),
    [
      'frames',
      'attach-hello',
      'patch',
      'close',
      'error',
      'target',
      'connect-response',
      'push',
      'reply',
      'struct',
    ],
    protobuf,
  ),
  ...from(
    () => import('./targets/resume.ts'),
    ['resume-token', 'resume-state', 'resume-key', 'lineage-words'],
  ),
  ...from(() => import('./targets/watch.ts'), ['watch-words']),
  ...from(() => import('./targets/jwt.ts'), ['jwt-head', 'jwt-claims', 'jwt-keys', 'jwt-secret']),
  ...from(() => import('./targets/orders.ts'), ['block', 'blocks-file', 'order-words']),
  ...from(
    () => import('./targets/headers.ts'),
    [
      'header-values',
      'header-block',
      'cursor',
      'peer-push',
      'peer-reply',
      'kept-push',
      'gateway-events',
      'claims',
      'refusal',
      'pub-ack',
      'subjects',
    ],
  ),
  ...from(() => import('./targets/ipc.ts'), ['ipc-line', 'ipc-long-line', 'ipc-socket']),
  ...from(() => import('./targets/websocket.ts'), ['websocket-connection'], webSocket),
  ...from(
    () => import('./targets/transport.ts'),
    [
      'websocket-frames',
      'interim-heads',
      'http-answer',
      'http-path',
      'pem',
      'proxy-header',
      'forwarded',
    ],
  ),
  ...from(
    () => import('./targets/dialects.ts'),
    [
      'handshake',
      'route-dictionary',
      'signature',
      'dialect-pomelo',
      'dialect-signed',
      'dialect-pitaya',
      'dialect-proto',
      'dialect-nano',
      'dialect-json',
    ],
  ),
  ...from(
    () => import('./targets/client.ts'),
    [
      'client-packets',
      'client-message',
      'client-text',
      'client-protobuf',
      'client-inflate',
      'client-packet-wire',
      'client-json-wire',
    ],
  ),
  ...from(
    () => import('./targets/config.ts'),
    ['config', 'config-texts', 'command-line', 'mock-answers', 'consul-instances'],
    yaml,
  ),
  ...from(
    () => import('./targets/method.ts'),
    ['method-request', 'method-answer', 'proto-file', 'status-details'],
    grpc,
  ),
  ...from(
    () => import('./targets/control.ts'),
    ['control-json', 'control-protobuf', 'attach-json', 'control-callers'],
    grpc,
  ),
  ...from(
    () => import('./targets/border.ts'),
    ['session-pomelo', 'session-pitaya', 'session-json', 'link', 'ipc-lines', 'bus-messages'],
    grpc,
  ),
};
