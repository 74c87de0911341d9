// The floor: the least that any WebSocket gateway on Node can cost. With --push each message that comes goes to all, as
// a push: the least that a fan-out can cost, one shared frame in a bare loop. With --tls=CERT,KEY it is over TLS.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

import { Sender, WebSocketServer } from 'ws';

const tls = process.argv.find((one) => one.startsWith('--tls='));
const [cert, key] = tls?.slice('--tls='.length).split(',') ?? [];
const front = tls
  ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) })
  : http.createServer();
const server = new WebSocketServer({ server: front, perMessageDeflate: false });
front.listen(0, '127.0.0.1', () => {
  console.log(`listening on 127.0.0.1:${front.address().port}`);
});

/** A push to `onPush`, with what came behind the route of the request. */
function pushOf(request) {
  const body = request.subarray(7 + request[6]);
  const head = Buffer.from('\x06\x06onPush');
  const packet = Buffer.concat([Buffer.from([4, 0, 0, head.length + body.length]), head, body]);
  const options = { fin: true, opcode: 2, mask: false, readOnly: true, rsv1: false };
  return Buffer.concat(Sender.frame(packet, options));
}

const isPush = process.argv.includes('--push');
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    if (!isPush) {
      socket.send(data);
      return;
    }
    const frame = pushOf(data);
    for (const { _socket: client } of server.clients) client.write(frame);
  });
});
process.on('SIGTERM', () => process.exit(0));
