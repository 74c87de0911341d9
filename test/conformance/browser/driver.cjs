// What every page does with its client: `driver`, through which the test has it do something and reads what happened,
// in order. The client is the published one, unmodified, whatever global it made.
'use strict';

const EVENTS = ['onJoin', 'onLeave', 'onChat', 'onWhisper', 'onKick', 'onText', 'close'];
const TROUBLE = ['disconnect', 'reconnect', 'heartbeat timeout', 'io-error', 'error'];

/** Events of sockets carry the socket: only what can be sent is. */
function plain(arg) {
  if (arg instanceof CloseEvent) return { code: arg.code, reason: arg.reason };
  return arg instanceof Event ? { type: arg.type } : arg;
}

module.exports = function drive(client) {
  const events = [];
  const watchers = new Set();

  function tell(event, ...args) {
    events.push({ event, args });
    for (const look of watchers) look();
  }

  for (const event of [...EVENTS, ...TROUBLE])
    client.on(event, (...args) => tell(event, ...args.map(plain)));

  // What the client throws on a message that it cannot read.
  window.addEventListener('error', ({ message }) => tell('uncaught', message));

  window.driver = {
    events: () => events,

    init(params) {
      const handshakeCallback = (user) => tell('handshakeCallback', user ?? null);
      client.init({ host: '127.0.0.1', ...params, handshakeCallback }, (socket) =>
        tell('ready', socket.readyState === WebSocket.OPEN),
      );
    },

    request(key, route, body) {
      client.request(route, body, (...args) => tell('answer', key, ...args));
    },

    /** Many at once; what came back is told in one piece, in the order in which it came. */
    requests(count, route, body) {
      const answers = [];
      for (let n = 1; n <= count; n++) {
        const numbered = (text) => text.replaceAll('{n}', n);
        client.request(numbered(route), JSON.parse(numbered(JSON.stringify(body))), (answer) => {
          answers.push([n, answer]);
          if (answers.length === count) tell('answers', answers);
        });
      }
    },

    notify(route, body) {
      client.notify(route, body);
    },

    disconnect() {
      client.disconnect();
    },

    /** The arguments of the `n`th event of that name, as soon as it is there; answers go by their key. */
    wait(name, n, ms) {
      return new Promise((resolve, reject) => {
        const find = () =>
          name === 'answer'
            ? events.find(({ event, args }) => event === name && args[0] === n)
            : events.filter(({ event }) => event === name)[n];
        const finish = () => {
          clearTimeout(timer);
          watchers.delete(look);
        };
        const look = () => {
          const found = find();
          if (found === undefined) return;
          finish();
          resolve(found.args);
        };
        const timer = setTimeout(() => {
          finish();
          const last = events.slice(-5).map((event) => JSON.stringify(event));
          reject(
            new Error(`${name} ${n} did not come in ${ms} ms; the last were:\n${last.join('\n')}`),
          );
        }, ms);
        watchers.add(look);
        look();
      });
    },
  };
};
