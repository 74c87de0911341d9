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
    this.learn(socket, fact('Uid'), JSON.parse(fact('Data') || '{}'));
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

  /** What other backends have done to the session: bound it, set keys. What Pomelo has set itself stays its own. */
  learn(socket, uid, data) {
    const service = this.app.get('sessionService');
    const session = service.get(socket.id);
    for (const [key, value] of Object.entries(data)) {
      if (key === 'pomelo' || key in session.settings) continue;
      session.set(key, value);
      socket.told.data[key] = JSON.stringify(value);
    }
    if (uid !== '' && !session.uid) {
      service.bind(socket.id, uid, () => {});
      socket.told.uid = uid;
    }
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
    /** What the gateway knows of the session. */
    this.told = { uid: '', data: {}, groups: [] };
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
    const session = this.connector.app.get('sessionService').get(this.id);
    if (session !== undefined) this.tell(session, h);
    if (msg !== undefined) msg.respond(body, { headers: h });
  }

  /** What has changed in Pomelo's session since the last answer, so that other backends know it, too. */
  tell(session, h) {
    const { app, groups } = this.connector;
    const uid = session.uid || '';
    if (uid !== this.told.uid) h.set('Pith-Bind', encodeURIComponent(uid));
    const own = { ...session.settings, pomelo: app.getServerId() };
    const changed = {};
    for (const key of Object.keys({ ...this.told.data, ...own }))
      if (JSON.stringify(own[key]) !== this.told.data[key]) changed[key] = own[key] ?? null;
    if (Object.keys(changed).length > 0) h.set('Pith-Set', json(changed));
    const now = uid === '' ? [] : groups(session);
    const came = now.filter((group) => !this.told.groups.includes(group));
    const went = this.told.groups.filter((group) => !now.includes(group));
    if (came.length > 0) h.set('Pith-Join', json(came));
    if (went.length > 0) h.set('Pith-Leave', json(went));
    const data = {};
    for (const [key, value] of Object.entries(own)) data[key] = JSON.stringify(value);
    this.told = { uid, data, groups: now };
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
