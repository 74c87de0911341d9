// A connector for a Pomelo or Pinus server, whose clients are those of Pith gateways. Copy it into the game server.
// Its handlers, filters, channels and rpc stay as they are, and so do the servers behind it; routes can move away
// to other backends one by one. Node 14 or newer, and `npm install nats@2`.
'use strict';
const { EventEmitter } = require('events');
const { connect, headers } = require('nats');

/** Settings of the connector, in `connectorConfig`: app; nats (the server's URL); prefix; groups. */
module.exports = function (port, host, options) {
  return new PithConnector(options);
};

class PithConnector extends EventEmitter {
  constructor({ app, nats = 'nats://127.0.0.1:4222', prefix = 'pomelo', groups = () => [] }) {
    super();
    Object.assign(this, { app, url: nats, prefix, groups, sockets: new Map(), lastId: 0 });
  }

  async start(done) {
    this.nats = await connect({
      servers: this.url,
      maxReconnectAttempts: -1,
      waitOnFirstConnect: true,
    });
    const take = (error, msg) => error === null && this.take(msg);
    // Whoever gets a session's first message puts its own name into the session's data, and gets the others.
    this.nats.subscribe(`${this.prefix}.rpc.>`, { queue: 'pomelo', callback: take });
    this.nats.subscribe(`${this.prefix}.to.${this.app.getServerId()}.>`, { callback: take });
    this.nats.subscribe('pith.event.session.closed', {
      callback: (error, msg) => error === null && this.end(msg.json().session.sid),
    });
    this.nats.subscribe('pith.event.gateway.lost', {
      callback: (error, msg) => error === null && this.lose(msg.json().gateway),
    });
    await this.nats.flush();
    done();
  }

  async stop(force, done) {
    await this.nats.drain();
    done();
  }

  /** A client's message. */
  take(msg) {
    const fact = (name) => decodeURIComponent(msg.headers.get(`Pith-${name}`));
    const sid = fact('Sid');
    let socket = this.sockets.get(sid);
    if (socket === undefined) {
      socket = new Socket(this, sid, fact('Client-Ip'));
      this.sockets.set(sid, socket);
      this.emit('connection', socket); // Pomelo makes its session
    }
    this.learn(sid, fact('Uid'), JSON.parse(fact('Data') || '{}'));
    const message = { id: 0, route: fact('Route'), body: {} };
    try {
      message.body = JSON.parse(msg.string());
    } catch {
      // As in Pomelo: a body that is not JSON is an empty one.
    }
    if (msg.reply) {
      message.id = ++this.lastId;
      socket.waiting.set(message.id, msg);
    }
    socket.emit('message', message);
  }

  /** What other backends have done to the session: bound it, set its data. */
  learn(sid, uid, data) {
    const service = this.app.get('sessionService');
    const session = service.get(sid);
    for (const [key, value] of Object.entries(data)) if (key !== 'pomelo') session.set(key, value);
    if (uid !== '' && !session.uid) service.bind(sid, uid, () => {});
  }

  end(sid) {
    const socket = this.sockets.get(sid);
    this.sockets.delete(sid);
    if (socket !== undefined) socket.emit('disconnect');
  }

  /** A gateway was killed, and all its sessions are over. */
  lose(gateway) {
    for (const sid of this.sockets.keys()) if (sid.startsWith(`${gateway}.`)) this.end(sid);
  }

  // What Pomelo calls.

  decode(message) {
    return message;
  }

  encode(id, route, body) {
    return { id, route, body: JSON.stringify(body) };
  }
}

/** What Pomelo takes for a client's connection. */
class Socket extends EventEmitter {
  constructor(connector, id, ip) {
    super();
    Object.assign(this, { connector, id, remoteAddress: { ip, port: 0 }, waiting: new Map() });
    this.on('closing', (reason) =>
      this.verb('kick', JSON.stringify({ reason: String(reason || 'kick') })),
    );
  }

  send({ id, route, body }) {
    const h = headers();
    if (!id) {
      h.set('Pith-Route', encodeURIComponent(route));
      return this.verb('push', body, h);
    }
    const msg = this.waiting.get(id);
    this.waiting.delete(id);
    const { app, groups } = this.connector;
    const session = app.get('sessionService').get(this.id);
    if (session !== undefined) {
      // The gateways know what Pomelo's session knows, so that other backends do, too.
      if (session.uid) h.set('Pith-Bind', encodeURIComponent(session.uid));
      h.set('Pith-Set', json({ ...session.settings, pomelo: app.getServerId() }));
      if (session.uid) h.set('Pith-Join', json(groups(session)));
    }
    if (msg !== undefined) msg.respond(body, { headers: h });
  }

  sendBatch(messages) {
    for (const message of messages) this.send(message);
  }

  disconnect() {
    this.verb('close', '{}');
  }

  verb(name, body, h) {
    this.connector.nats.publish(`pith.session.${this.id}.${name}`, body, { headers: h });
  }
}

function json(value) {
  return encodeURIComponent(JSON.stringify(value));
}
