/**
 * The certificate of one listener: read at the start, and again when its files change, so that a new one is served
 * without a restart.
 *
 * The files are polled and their text compared: file system notifications would miss how Kubernetes updates a mounted
 * Secret, by swapping a symbolic link above it.
 */
import type { CancelTimer, Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import {
  isPem,
  validate,
  type ReadFile,
  readTexts,
  TlsFault,
  type TlsFiles,
  type TlsPem,
} from './pem.ts';

/** Milliseconds between two checks of the files. A change counts once two checks have found the same. */
export const CERTIFICATE_CHECK_MS = 2_000;

export type ServerTls = TlsFiles & {
  /** Reject clients without a certificate signed by `ca`. */
  readonly requireClientCert: boolean;
  /** The key in the configuration, for messages: `listen[0].tls`. */
  readonly name: string;
  readonly readFile: ReadFile;
};

/**
 * Reads and validates a certificate without serving it.
 *
 * @returns What is wrong, naming the file; null: nothing.
 */
export function faultIn(tls: TlsFiles, readFile: ReadFile): TlsFault | null {
  try {
    validate(readTexts(tls, readFile), tls);
    return null;
  } catch (error) {
    if (error instanceof TlsFault) return error;
    throw error;
  }
}

export class Certificate {
  readonly #tls: ServerTls;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onChanged: (pem: TlsPem) => void;
  /** What the files held when they were last validated. */
  #checked = '';
  /** What the last check found. */
  #seen = '';
  #expiresAt = 0;
  #cancelCheck: CancelTimer = () => {};

  /** @param onChanged Called with every valid certificate and key after the first. */
  constructor(tls: ServerTls, clock: Clock, log: Log, onChanged: (pem: TlsPem) => void) {
    this.#tls = tls;
    this.#clock = clock;
    this.#log = log;
    this.#onChanged = onChanged;
  }

  /** When the certificate that is served expires, in milliseconds since the Unix epoch. */
  get expiresAt(): number {
    return this.#expiresAt;
  }

  /** Reads the files, and polls them from then on. @throws {Error} Says what is wrong, naming key and file. */
  start(): TlsPem {
    let pem: TlsPem;
    try {
      const texts = readTexts(this.#tls, this.#tls.readFile);
      this.#checked = this.#seen = JSON.stringify(texts);
      pem = validate(texts, this.#tls);
    } catch (error) {
      throw new Error(faultText(this.#tls, error), { cause: error });
    }
    this.#serve(pem);
    if ([this.#tls.cert, this.#tls.key, this.#tls.ca].some(isPath)) this.#checkLater();
    return pem;
  }

  /** Stops polling. */
  stop(): void {
    this.#cancelCheck();
  }

  /** Reads the files now, changed or not. If they are invalid, that is logged and the old certificate stays. */
  reload(): void {
    this.#check(true);
  }

  #checkLater(): void {
    this.#cancelCheck = this.#clock.setTimer(CERTIFICATE_CHECK_MS, () => {
      this.#checkLater();
      this.#check(false);
    });
  }

  #check(atOnce: boolean): void {
    let texts: TlsFiles | null = null;
    let found: string;
    try {
      texts = readTexts(this.#tls, this.#tls.readFile);
      found = JSON.stringify(texts);
    } catch (error) {
      found = faultText(this.#tls, error);
    }
    // Certificate and key may be written one after the other, so wait until the files are stable.
    const isSettled = atOnce || found === this.#seen;
    this.#seen = found;
    if (!isSettled || (found === this.#checked && !atOnce)) return;
    this.#checked = found;
    if (texts === null) this.#keepOld(found);
    else this.#take(texts);
  }

  #take(texts: TlsFiles): void {
    try {
      const pem = validate(texts, this.#tls);
      this.#onChanged(pem);
      this.#serve(pem);
      const expires = new Date(pem.expiresAt).toISOString();
      this.#log.info({ key: this.#tls.name, expires }, 'certificate reloaded');
    } catch (error) {
      this.#keepOld(faultText(this.#tls, error));
    }
  }

  #keepOld(fault: string): void {
    this.#log.warn({ fault }, 'new certificate rejected; still serving the old one');
  }

  #serve({ expiresAt }: TlsPem): void {
    this.#expiresAt = expiresAt;
    if (expiresAt > this.#clock.wallNow()) return;
    const expires = new Date(expiresAt).toISOString();
    this.#log.warn(
      { key: this.#tls.name, expires },
      'certificate expired; clients that verify it refuse to connect',
    );
  }
}

function faultText(tls: ServerTls, error: unknown): string {
  if (error instanceof TlsFault) return `${tls.name}.${error.key}: ${error.message}`;
  return `${tls.name}: ${String(error)}`;
}

function isPath(value: string): boolean {
  return value !== '' && !isPem(value);
}
