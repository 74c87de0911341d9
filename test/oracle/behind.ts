/**
 * Pomelo or Pinus as a process whose clients are those of Pith gateways: `node behind.ts <pomelo|pinus> <NATS URL>`,
 * with the connector that deploy/examples has for it. It prints `ready`, and ends with SIGTERM.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const CONNECTOR = '../../deploy/examples/pomelo-connector-nats/pith-connector.cjs';

type Session = { get(key: string): string };

type Application = {
  set(name: string, value: object): void;
  load(name: string, component: object): void;
  start(done: (error?: Error) => void): void;
};

type Framework = { createApp(options: { base: string }): Application };

/** As in their launchers; see original.ts. */
process.argv.splice(
  1,
  process.argv.length,
  ...['app.js', ...process.argv.slice(2)],
  ...['serverType=connector', 'id=connector-1', 'host=127.0.0.1', 'clientPort=3010'],
  ...['frontend=true', 'mode=stand-alone', 'env=development'],
);
process.env['POMELO_LOGGER'] = 'off';
// Pinus leaves it to its application to load this.
require('reflect-metadata');

const [, , name, nats] = process.argv;
const loaded = require(name!) as Framework & { pinus?: Framework };
const base = fileURLToPath(new URL('chat', import.meta.url));
const app = (loaded.pinus ?? loaded).createApp({ base });
const groups = (session: Session): string[] => [`room.${session.get('rid')}`];
app.set('connectorConfig', { connector: require(CONNECTOR) as object, app, nats, groups });
// The monitor only reports to a master process, and there is none.
app.load('__monitor__', { name: '__monitor__' });
app.start((error) => {
  if (error) throw error;
  process.stdout.write('ready\n');
});

// Whoever started this may be killed.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit();
}, 500).unref();
