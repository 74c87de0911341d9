// The floor: the least that a WebSocket server on Node can cost. node floor.mjs PORT [CERT KEY]
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import { WebSocketServer } from 'ws';

const [, , port, cert, key] = process.argv;
const listening = () => console.log('listening');
const options = { backlog: 4096, perMessageDeflate: false };
const server =
  cert === undefined
    ? new WebSocketServer({ ...options, host: '127.0.0.1', port: Number(port) }, listening)
    : new WebSocketServer({
        ...options,
        server: createServer({ cert: readFileSync(cert), key: readFileSync(key) }).listen(
          { host: '127.0.0.1', port: Number(port), backlog: 4096 },
          listening,
        ),
      });
server.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(data));
});
process.on('SIGTERM', () => process.exit(0));
