/**
 * The certificate of one listener: read at the start, and again when its files change, so that a new one is
 * served without a restart.
 *
 * The files are looked at, and their text compared: a notification of the file system would miss how
 * Kubernetes changes a mounted Secret, by swapping a symbolic link above it.
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

/** Milliseconds between two looks at the files. A change counts once two looks have found the same. */
export const CERTIFICATE_CHECK_MS = 2_000;

export type ServerTls = TlsFiles & {
  /** Refuse clients without a certificate that `ca` has signed. */
  readonly requireClientCert: boolean;
  /** The key of the configuration, for messages: `listen[0].tls`. */
  readonly name: string;
  readonly readFile: ReadFile;
};

/**
 * Reads and judges a certificate without serving it.
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
  /** What the files held when they were last judged. */
  #checked = '';
  /** What the last look found. */
  #seen = '';
  #expiresAt = 0;
  #cancelCheck: CancelTimer = () => {};

  /** @param onChanged Called with every good pair that comes after the first. */
  constructor(tls: ServerTls, clock: Clock, log: Log, onChanged: (pem: TlsPem) => void) {
    this.#tls = tls;
    this.#clock = clock;
    this.#log = log;
    this.#onChanged = onChanged;
  }

  /** When the certificate that is served ends, in milliseconds since the Unix epoch. */
  get expiresAt(): number {
    return this.#expiresAt;
  }

  /** Reads for the first time and looks at the files from then on. Throws what is wrong, naming key and file. */
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

  /** Looks no more. */
  stop(): void {
    this.#cancelCheck();
  }

  /** Reads the files now, changed or not. A bad pair is logged, and the old one goes on. */
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
    // Whoever writes certificate and key one after the other is given time to end.
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
