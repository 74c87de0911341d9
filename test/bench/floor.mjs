// The floor: the least that any WebSocket gateway on Node can cost.
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false }, () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`);
});
server.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(data));
});
process.on('SIGTERM', () => process.exit(0));
