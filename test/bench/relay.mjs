// What the libraries alone cost: Pomelo requests over bare `ws` (--tcp: bare `net`) to one gRPC stream (--link=ADDRESS) or
// to NATS (--nats=URL), and the answers back. No sessions, routes, limits, deadlines, order or checks: whoever sends
// anything but what ./load and ./peers/gen send breaks it. What a turn of the event loop gathers goes out together, as with Pith.
import net from 'node:net';
import { parseArgs } from 'node:util';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { connect } from 'nats';
import { WebSocketServer } from 'ws';

const { values } = parseArgs({
  options: {
    link: { type: 'string' },
    nats: { type: 'string' },
    tcp: { type: 'boolean' },
    port: { type: 'string', default: '0' },
  },
});

const HANDSHAKE = packetOf(1, Buffer.from('{"code":200,"sys":{"heartbeat":0}}'));
const SUBJECT = 'pith.rpc.area.echoHandler.echo';
const INBOX = '_INBOX.relay.';
/** Who waits for which answer: the slot is its number. */
const waiting = [];
const free = [];

function packetOf(type, body) {
  const head = Buffer.from([
    type,
    body.length >> 16,
    (body.length >> 8) & 0xff,
    body.length & 0xff,
  ]);
  return Buffer.concat([head, body]);
}

/** Does `flush` once, at the end of this turn. */
function soon(flush) {
  let isComing = false;
  return () => {
    if (isComing) return;
    isComing = true;
    setImmediate(() => {
      isComing = false;
      flush();
    });
  };
}

/** Clients with answers that are not sent. */
let answered = [];
const sendSoon = soon(() => {
  const clients = answered;
  answered = [];
  for (const client of clients) client.flush();
});

class RelayedClient {
  #write;
  #packets = [];

  constructor(write) {
    this.#write = write;
  }

  /** Whole packets: a handshake, its ack, heartbeats, or requests. */
  read(bytes) {
    for (let at = 0; at < bytes.length;) {
      const end = at + 4 + bytes.readUIntBE(at + 1, 3);
      if (bytes[at] === 1) this.#write([HANDSHAKE]);
      else if (bytes[at] === 4) this.#request(bytes, at + 5, end);
      at = end;
    }
  }

  /** The id is a varint, the least significant bits first, as gateway and clients have it. */
  #request(bytes, idAt, end) {
    let id = bytes[idAt] & 0x7f;
    let at = idAt;
    for (let shift = 7; bytes[at++] >= 0x80; shift += 7) id |= (bytes[at] & 0x7f) << shift;
    ask(this, id, bytes.subarray(at + 1 + bytes[at], end));
  }

  answer(id, body) {
    const idBytes = varintBytes(id);
    const packet = Buffer.allocUnsafe(5 + idBytes + body.length);
    packet.writeUInt32BE(0x04000000 + 1 + idBytes + body.length);
    packet[4] = 4;
    let at = 5;
    let rest = id;
    for (; rest >= 0x80; rest >>>= 7) packet[at++] = (rest & 0x7f) | 0x80;
    packet[at++] = rest;
    packet.set(body, at);
    if (this.#packets.push(packet) > 1) return;
    answered.push(this);
    sendSoon();
  }

  flush() {
    const packets = this.#packets;
    this.#packets = [];
    this.#write(packets);
  }
}

function ask(client, id, body) {
  const slot = free.pop() ?? waiting.push(null) - 1;
  waiting[slot] = { client, id };
  send(slot + 1, body);
}

function answerTo(number, body) {
  const { client, id } = waiting[number - 1];
  free.push(number - 1);
  client.answer(id, body);
}

const send = values.link === undefined ? await natsSender(values.nats) : linkSender(values.link);

async function natsSender(servers) {
  const nc = await connect({ servers });
  const callback = (_, { subject, data }) => {
    answerTo(Number(subject.slice(INBOX.length)), data);
  };
  nc.subscribe(`${INBOX}*`, { callback });
  return (number, body) => {
    nc.publish(SUBJECT, body, { reply: INBOX + number });
  };
}

/** The frames of a Link that are needed for this, and no others: proto/pith/v1. */
function linkSender(address) {
  const raw = (bytes) => bytes;
  const client = new Client(address, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest('/pith.v1.Backend/Link', raw, raw, new Metadata());
  stream.write(Buffer.from([0x0a, 4, 0x12, 2, 0x0a, 0]));
  // As many bytes as Pith says of a session, and of a route.
  const about = Buffer.concat([
    field(1, Buffer.alloc(118, 'x').fill('\x0a\x74', 0, 2, 'latin1')),
    field(2, Buffer.from('area.echoHandler.echo')),
  ]);
  const out = Buffer.allocUnsafe(1_048_576);
  let at = 0;
  const flushSoon = soon(() => {
    stream.write(Buffer.from(out.subarray(0, at)));
    at = 0;
  });
  const head = (tag, value) => {
    out[at++] = tag;
    for (; value >= 0x80; value >>>= 7) out[at++] = (value & 0x7f) | 0x80;
    out[at++] = value;
  };
  const put = (bytes) => {
    out.set(bytes, at);
    at += bytes.length;
  };
  stream.on('data', readAnswers);
  return (number, body) => {
    const bytes = about.length + lengthOf(body.length);
    head(0x0a, 1 + varintBytes(number) + lengthOf(bytes));
    head(0x08, number);
    head(0x1a, bytes);
    put(about);
    head(0x22, body.length);
    put(body);
    flushSoon();
  };
}

function varintBytes(value) {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : 3;
}

/** Of a field with so many bytes. */
function lengthOf(bytes) {
  return 1 + varintBytes(bytes) + bytes;
}

function field(number, bytes) {
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
}

/** Of frames with a number, and a reply with a body of bytes. */
function readAnswers(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    at++;
    const length = varint();
    const end = at + length;
    // A hello has no number.
    if (bytes[at++] === 0x08) {
      const number = varint();
      for (let i = 0; i < 3; i++) {
        at++;
        varint();
      }
      answerTo(number, bytes.subarray(at, end));
    }
    at = end;
  }
}

const listening = ({ port }) => {
  console.log(`listening on 127.0.0.1:${port}`);
};
if (values.tcp) {
  const server = net.createServer({ noDelay: true }, (socket) => {
    const client = new RelayedClient((packets) => {
      socket.write(packets.length === 1 ? packets[0] : Buffer.concat(packets));
    });
    socket.on('data', (bytes) => {
      client.read(bytes);
    });
    socket.on('error', () => {});
  });
  server.listen({ host: '127.0.0.1', port: Number(values.port), backlog: 4_096 }, () => {
    listening(server.address());
  });
} else {
  const where = { host: '127.0.0.1', port: Number(values.port) };
  const options = { ...where, backlog: 4_096, perMessageDeflate: false };
  const server = new WebSocketServer(options, () => {
    listening(server.address());
  });
  server.on('connection', (socket) => {
    const client = new RelayedClient((packets) => {
      // A frame for each, as clients expect them, and one write.
      socket._socket.cork();
      for (const packet of packets) socket.send(packet);
      socket._socket.uncork();
    });
    socket.on('message', (bytes) => {
      client.read(bytes);
    });
  });
}
process.on('SIGTERM', () => process.exit(0));
