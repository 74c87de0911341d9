/** Certificates made on the spot, the files they lie in, and a way for clients without TLS to a port with it. */
import {
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';

/** A certificate, which ends some days from now (may be negative), with its private key; both PEM. */
export type Pair = { readonly cert: string; readonly key: string };

const DAY_MS = 86_400_000;

// ---- making certificates: DER by hand [RFC 5280 section 4.1] ------------------------------------------------

const OID = {
  COMMON_NAME: '550403',
  BASIC_CONSTRAINTS: '551d13',
  ALTERNATIVE_NAME: '551d11',
  ECDSA_SHA256: '2a8648ce3d040302',
};

function der(tag: number, ...parts: (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  const { length } = body;
  const head =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length];
  return Buffer.concat([Buffer.from([tag, ...head.map((byte) => byte & 0xff)]), body]);
}

const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const ALGORITHM = sequence(oid(OID.ECDSA_SHA256));

function nameOf(text: string): Buffer {
  return sequence(der(0x31, sequence(oid(OID.COMMON_NAME), der(0x0c, text))));
}

/** GeneralizedTime, in UTC and whole seconds. */
function timeOf(ms: number): Buffer {
  return der(0x18, `${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '')}Z`);
}

function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  return sequence(
    oid(id),
    ...(isCritical ? [der(0x01, Buffer.from([0xff]))] : []),
    der(0x04, value),
  );
}

function pem(label: string, bytes: Buffer): string {
  // No empty line at the end, which OpenSSL takes for part of the text.
  const lines = bytes
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/** An authority that signs certificates for this machine. */
export class Authority {
  readonly name: string;
  /** Its own certificate, PEM. */
  readonly cert: string;
  readonly #key: KeyObject;

  constructor(name = 'Test authority') {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.name = name;
    this.#key = privateKey;
    const isAuthority = extension(
      OID.BASIC_CONSTRAINTS,
      true,
      sequence(der(0x01, Buffer.from([0xff]))),
    );
    this.cert = this.#certificate(name, publicKey, 30, isAuthority);
  }

  /** For the names localhost and 127.0.0.1, and these URIs, with a new key. */
  issue(subject: string, days = 30, uris: readonly string[] = []): Pair {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return this.certify(subject, privateKey, days, uris);
  }

  /** The same for a key of the caller's. */
  certify(subject: string, privateKey: KeyObject, days = 30, uris: readonly string[] = []): Pair {
    const here = [der(0x82, 'localhost'), der(0x87, Buffer.from([127, 0, 0, 1]))];
    return this.#pair(subject, privateKey, days, [...here, ...uris.map((uri) => der(0x86, uri))]);
  }

  /** For this DNS name alone. */
  issueFor(name: string): Pair {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return this.#pair(name, privateKey, 30, [der(0x82, name)]);
  }

  #pair(subject: string, privateKey: KeyObject, days: number, names: readonly Buffer[]): Pair {
    return {
      cert: this.#certificate(
        subject,
        createPublicKey(privateKey),
        days,
        extension(OID.ALTERNATIVE_NAME, false, sequence(...names)),
      ),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  }

  #certificate(subject: string, publicKey: KeyObject, days: number, more: Buffer): string {
    const now = Date.now();
    const toBeSigned = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
      ALGORITHM,
      nameOf(this.name),
      sequence(timeOf(now - 100 * DAY_MS), timeOf(now + days * DAY_MS)),
      nameOf(subject),
      publicKey.export({ type: 'spki', format: 'der' }) as Buffer,
      der(0xa3, sequence(more)),
    );
    const signature = sign('sha256', toBeSigned, this.#key);
    const bits = der(0x03, Buffer.from([0]), signature);
    return pem('CERTIFICATE', sequence(toBeSigned, ALGORITHM, bits));
  }
}

// ---- files --------------------------------------------------------------------------------------------------

/** A folder with a pair as Kubernetes mounts a Secret: tls.crt and tls.key behind symbolic links. */
export class SecretFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'pith-tls-'));
  readonly cert = join(this.path, 'tls.crt');
  readonly key = join(this.path, 'tls.key');
  readonly ca = join(this.path, 'ca.crt');
  #versions = 0;

  constructor(pair: Pair, ca = '') {
    this.replace(pair, ca);
    for (const file of ['tls.crt', 'tls.key', 'ca.crt'])
      symlinkSync(join('..data', file), join(this.path, file));
  }

  /** All at once: the link to the folder of the files is replaced, the files' own links stay. */
  replace({ cert, key }: Pair, ca = ''): void {
    const folder = `..version_${++this.#versions}`;
    mkdirSync(join(this.path, folder));
    for (const [file, text] of Object.entries({ 'tls.crt': cert, 'tls.key': key, 'ca.crt': ca }))
      writeFileSync(join(this.path, folder, file), text);
    symlinkSync(folder, join(this.path, '..data_next'));
    renameSync(join(this.path, '..data_next'), join(this.path, '..data'));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

// ---- clients ------------------------------------------------------------------------------------------------

/** Connects over TLS to a port of this machine, whose name the certificate has to bear. */
export async function connectTls(
  port: number,
  options: tls.ConnectionOptions,
): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** A plain port on this machine whose connections go on over TLS, so that any client can be used. */
export class TlsPipe implements AsyncDisposable {
  readonly port: number;
  readonly #server: net.Server;
  readonly #sockets: Set<net.Socket>;

  private constructor(server: net.Server, sockets: Set<net.Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async open(port: number, options: tls.ConnectionOptions): Promise<TlsPipe> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer({ noDelay: true }, (near) => {
      const far = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...options });
      far.setNoDelay(true);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(one);
        one.on('error', () => {});
        one.on('close', () => {
          sockets.delete(one);
          other.destroySoon();
        });
        one.pipe(other);
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TlsPipe(server, sockets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
