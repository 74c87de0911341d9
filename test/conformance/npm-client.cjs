// One published client in a process of its own, unmodified, driven over IPC: argv names the package, each
// message in is something to do, each message out is something that happened, in order.
'use strict';

const { createRequire } = require('node:module');
const path = require('node:path');

const Client = createRequire(path.join(__dirname, '../clients/package.json'))(process.argv[2]);
const client = new Client();

const EVENTS = ['onJoin', 'onLeave', 'onChat', 'onWhisper', 'onKick', 'connect', 'close'];
const TROUBLE = ['reconnect', 'heartbeat timeout', 'io-error', 'error'];

const tell = (event, ...args) => process.send({ event, args });

/** Events of sockets carry the socket: only what can be sent is. */
const plain = (arg) =>
  arg !== null && typeof arg === 'object' && arg.target
    ? { code: arg.code, reason: arg.reason, message: arg.message }
    : arg;

for (const event of [...EVENTS, ...TROUBLE])
  client.on(event, (...args) => tell(event, ...args.map(plain)));

/** Every frame as it came, beside what the client makes of it. */
function tellFrames(socket) {
  socket.on('message', (data) => tell('frame', Buffer.from(data).toString('hex')));
}

const todo = {
  init({ params, frames }) {
    const handshakeCallback = (user) => tell('handshakeCallback', user ?? null);
    client.init({ host: '127.0.0.1', ...params, handshakeCallback }, () => {
      tell('ready', client.heartbeatInterval);
    });
    if (frames) tellFrames(client.socket);
  },
  request({ key, route, body }) {
    client.request(route, body, (...args) => tell('answer', key, ...args));
  },
  /** Many at once; what came back is told in one piece, in the order in which it came. */
  requests({ count, route, body }) {
    const answers = [];
    for (let n = 1; n <= count; n++) {
      const numbered = (text) => text.replaceAll('{n}', n);
      client.request(numbered(route), JSON.parse(numbered(JSON.stringify(body))), (...args) => {
        answers.push([n, args.at(-1)]);
        if (answers.length === count) tell('answers', answers);
      });
    }
  },
  notify({ route, body }) {
    client.notify(route, body);
  },
  disconnect() {
    client.disconnect();
  },
};

process.on('message', ({ act, ...rest }) => todo[act](rest));
// The process that started this one is gone.
process.on('disconnect', () => process.exit());
tell('loaded');
