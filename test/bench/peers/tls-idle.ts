/**
 * Connections with TLS that do nothing but stay: `node tls-idle.ts MODE PORT PATH COUNT`. It prints `ready` when all have
 * finished their handshakes, and each has sent a heartbeat where its protocol has that; it ends with SIGTERM.
 */
import { randomBytes } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';

const [, , mode, port, path, count] = process.argv;
/** Connections that are being made at a time. */
const AT_ONCE = 32;

/** A masked frame of up to 125 bytes. */
function frame(opcode: number, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body as string);
  const mask = randomBytes(4);
  return Buffer.concat([
    Buffer.from([0x80 | opcode, 0x80 | bytes.length]),
    mask,
    bytes.map((byte, i) => byte ^ mask[i & 3]!),
  ]);
}

const packet = (type: number, body = ''): Buffer =>
  frame(2, Buffer.concat([Buffer.from([type, 0, 0, body.length]), Buffer.from(body)]));

/** What is said after the upgrade, and what of the answer means that the handshake is over. */
const HELLO: Record<string, { first: Buffer | null; until: RegExp; last: Buffer[] }> = {
  echo: { first: null, until: /^/, last: [frame(9, '')] },
  pomelo: {
    first: packet(1, '{"sys":{"type":"bench","version":"1.0","rsa":{}},"user":{}}'),
    until: /"code":200/,
    last: [packet(2), packet(3)],
  },
  centrifugo: {
    first: frame(1, '{"id":1,"connect":{}}'),
    until: /"connect":/,
    last: [],
  },
  cable: {
    first: frame(1, '{"command":"subscribe","identifier":"{\\"channel\\":\\"Bench\\"}"}'),
    until: /confirm_subscription/,
    last: [],
  },
};
const hello = HELLO[mode!]!;
const sockets: TLSSocket[] = [];

function one(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false });
  sockets.push(socket);
  let text = '';
  let upgraded = false;
  socket.on('secureConnect', () => {
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\n` +
        'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
        (mode === 'cable' ? 'Sec-WebSocket-Protocol: actioncable-v1-json\r\n' : '') +
        'Sec-WebSocket-Version: 13\r\n\r\n',
    );
  });
  const take = (chunk: Buffer): void => {
    text += chunk.toString('latin1');
    if (!upgraded && text.includes('\r\n\r\n')) {
      if (!text.startsWith('HTTP/1.1 101')) reject(new Error(text.slice(0, 100)));
      upgraded = true;
      text = text.slice(text.indexOf('\r\n\r\n') + 4);
      if (hello.first !== null) socket.write(hello.first);
    }
    if (!upgraded || !hello.until.test(text)) return;
    for (const frames of hello.last) socket.write(frames);
    text = '';
    socket.off('data', take).resume();
    resolve();
  };
  socket.on('data', take);
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('closed')));
  return promise;
}

let begun = 0;
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (begun < Number(count)) {
      begun++;
      await one();
    }
  }),
);
console.log('ready');
setInterval(() => {}, 60_000);
