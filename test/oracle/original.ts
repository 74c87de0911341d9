/**
 * One of the two servers as a process: `node original.ts <pomelo|pinus> <options as JSON>`. A whole application with
 * the project's folder: real components, handlers, dictionary and protos. It prints `listening <port>` when
 * clients may come, on a free port of 127.0.0.1, and ends with SIGTERM.
 */
import { createRequire } from 'node:module';
import type net from 'node:net';
import { fileURLToPath } from 'node:url';

import type { App } from './handlers.ts';

/** What a world asks of the connector; the names are Pomelo's. */
export type ConnectorOptions = {
  readonly heartbeat?: number;
  readonly useDict?: boolean;
  readonly useProtobuf?: boolean;
  readonly useCrypto?: boolean;
  /** Values of sys.type that checkClient lets in; absent: there is no checkClient. */
  readonly clientTypes?: readonly string[];
  /** A handshake hook: the user block it answers with; a client whose user.token is "bad" is refused. */
  readonly user?: object;
};

type Application = App & {
  set(name: string, value: unknown): void;
  load(name: string, component: object): void;
  start(done: (error?: Error) => void): void;
  readonly components: Readonly<Record<string, object>>;
};

type Framework = {
  createApp(options: { base: string }): Application;
  readonly connectors: { readonly hybridconnector: unknown };
};

const PARENT_CHECK_MS = 500;
const PROJECT = fileURLToPath(new URL('project', import.meta.url));
const require = createRequire(import.meta.url);
// Pinus leaves it to its application to load this.
require('reflect-metadata');

type Handshake = { user?: { token?: string } };
type Shaken = (error: Error | null, user?: object) => void;

function connectorConfig(connector: unknown, options: ConnectorOptions): object {
  const { clientTypes, user, ...rest } = options;
  return {
    connector,
    // Listen on 127.0.0.1 alone.
    distinctHost: true,
    ...rest,
    ...(clientTypes && { checkClient: (type: string) => clientTypes.includes(type) }),
    ...(user && {
      handshake: (msg: Handshake, done: Shaken) => {
        if (msg.user?.token === 'bad') done(new Error('bad token'));
        else done(null, user);
      },
    }),
  };
}

type Listening = { readonly connector: { readonly listeningServer: net.Server } };

function startOriginal(name: string, options: ConnectorOptions): void {
  // The frameworks take the server's own facts from the command line, as their launchers give them.
  process.argv = [
    process.argv[0]!,
    'app.js',
    'serverType=connector',
    'id=connector-1',
    'host=127.0.0.1',
    'clientPort=0',
    'frontend=true',
    'mode=stand-alone',
    'env=development',
  ];
  // Their loggers would write files.
  process.env['POMELO_LOGGER'] = 'off';
  const loaded = require(name) as Framework & { pinus?: Framework };
  const framework = loaded.pinus ?? loaded;
  const app = framework.createApp({ base: PROJECT });
  app.set('connectorConfig', connectorConfig(framework.connectors.hybridconnector, options));
  // The monitor only reports to a master process, and there is none.
  app.load('__monitor__', { name: '__monitor__' });
  app.start((error) => {
    if (error) throw error;
    const { listeningServer } = (app.components['__connector__'] as Listening).connector;
    const tell = (): void => {
      process.stdout.write(`listening ${(listeningServer.address() as net.AddressInfo).port}\n`);
    };
    if (listeningServer.listening) tell();
    else listeningServer.once('listening', tell);
  });
}

/** Pomelo 2.2.7 gives `write` an object where today's Node wants an encoding, and throws: nobody gets an answer. */
function mendTcp(): void {
  const Socket = require('pomelo/lib/connectors/hybrid/tcpsocket.js') as {
    prototype: { send(bytes: Buffer, options: object, done?: () => void): void };
  };
  Socket.prototype.send = function (this: { _socket: net.Socket }, bytes, _, done) {
    this._socket.write(bytes, done);
  };
}

// As in the app.js that Pomelo generates: a message that its decoder throws at ends that message, not the server.
process.on('uncaughtException', (error) => {
  process.stderr.write(`caught: ${error.stack}\n`);
});

// Whoever started this may be killed: then nobody ends this, and what it cannot print is caught and printed again.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit();
}, PARENT_CHECK_MS).unref();

const [name, options] = process.argv.slice(2);
if (name === 'pomelo') mendTcp();
startOriginal(name!, JSON.parse(options!) as ConnectorOptions);
