// The floor of a fan-out: each message is sent to everybody, as one frame that was made once. node cast.mjs PORT
import { WebSocketServer } from 'ws';

const route = Buffer.from('onCast');
const server = new WebSocketServer(
  { host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096, perMessageDeflate: false },
  () => console.log('listening'),
);
const all = new Set();

/** A request of Pomelo: type, length, flag, id of 7-bit groups, route, body. What goes out is a push with that body. */
function frameOf(data) {
  let at = 5;
  while (data[at++] & 0x80);
  const body = data.subarray(at + 1 + data[at]);
  const head = [4, 0, 0, 2 + route.length + body.length, 6, route.length];
  const packet = Buffer.concat([Buffer.from(head), route, body]);
  const length = packet.length < 126 ? [packet.length] : [126, 0, packet.length];
  return Buffer.concat([Buffer.from([0x82, ...length]), packet]);
}

server.on('connection', (socket) => {
  all.add(socket);
  socket.on('close', () => all.delete(socket));
  socket.on('message', (data) => {
    const frame = frameOf(data);
    for (const one of all) one._socket.write(frame);
  });
});
process.on('SIGTERM', () => process.exit(0));
