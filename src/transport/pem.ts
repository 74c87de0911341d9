/**
 * Certificates and keys as the configuration gives them, each a path or PEM text: read, and validated before anything
 * uses them. Pure except for `readFile`.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import { fileErrorText } from '../errors.ts';

/** Of a TLS server: each a path or PEM text; empty: none. */
export type TlsFiles = { readonly cert: string; readonly key: string; readonly ca: string };

/** For a TLS client of the gateway, as PEM text. Absent: the system's authorities; no certificate. */
export type ClientTls = Partial<TlsFiles>;

/** Which of the keys is wrong. */
export type TlsKey = keyof TlsFiles;

/** A certificate and its matching key, as PEM text. */
export type TlsPem = TlsFiles & {
  /** When the server's own certificate expires, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
};

/** What is wrong, and with which key of the configuration; the message names the file and never shows a private key. */
export class TlsFault extends Error {
  readonly key: TlsKey;

  constructor(key: TlsKey, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TlsFault';
    this.key = key;
  }
}

/** Reads a file as text; throws if it cannot. */
export type ReadFile = (path: string) => string;

/** Longer values are not paths. [PATH_MAX of Linux] */
const PATH_BYTES_MAX = 4_096;
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^]*?-----END \1-----/g;
/** How DER in base64 begins, for certificates and keys alike. */
const BARE_BASE64 = /^MI[A-Za-z0-9+/]{40,}/;

/** True for PEM text; anything else is taken as a path. */
export function isPem(value: string): boolean {
  return value.includes('-----BEGIN ');
}

/**
 * Replaces the paths with the texts of their files.
 *
 * @throws {TlsFault} for a file that cannot be read.
 */
export function readTexts(files: TlsFiles, readFile: ReadFile): TlsFiles {
  return {
    cert: textOf(files, 'cert', readFile),
    key: textOf(files, 'key', readFile),
    ca: textOf(files, 'ca', readFile),
  };
}

/**
 * Validates texts that were read: readable certificates, a key without a passphrase that belongs to the first of them,
 * and all of it accepted by OpenSSL.
 *
 * @param files Where they come from, for the messages.
 * @throws {TlsFault} for the first thing that is wrong.
 */
export function validate(texts: TlsFiles, files: TlsFiles): TlsPem {
  // Checks the setting and not the text: an empty file does not mean the system's authorities.
  if (files.ca !== '') certificatesOf(texts, files, 'ca');
  const own = certificatesOf(texts, files, 'cert')[0]!;
  const key = privateKeyOf(texts, files);
  if (!own.checkPrivateKey(key)) {
    const message = `${nameOf(files, 'key')} does not belong to the first certificate in ${nameOf(files, 'cert')}`;
    throw new TlsFault(
      'key',
      `${message}; give that certificate's key, with the server's own certificate first`,
    );
  }
  try {
    createSecureContext({ cert: texts.cert, key: texts.key, ca: texts.ca || undefined });
  } catch (error) {
    throw new TlsFault('cert', `OpenSSL refuses ${nameOf(files, 'cert')}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  return { ...texts, expiresAt: Date.parse(own.validTo) };
}

/**
 * Reads and validates the files of a TLS client of the gateway: authorities, a certificate with its key, both or
 * neither. `ca: system` is the same as none.
 *
 * @throws {TlsFault} for the first thing that is wrong.
 */
export function readClientTls(tls: TlsFiles, readFile: ReadFile): ClientTls {
  const files = tls.ca === 'system' ? { ...tls, ca: '' } : tls;
  const texts = readTexts(files, readFile);
  if (files.cert !== '' || files.key !== '') validate(texts, files);
  else if (files.ca !== '') certificatesOf(texts, files, 'ca');
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ''));
}

function textOf(files: TlsFiles, key: TlsKey, readFile: ReadFile): string {
  const value = files[key];
  if (value === '' || isPem(value)) return value;
  // The message does not show the value, which may be a private key.
  if (value.length > PATH_BYTES_MAX || /[\r\n\0]/.test(value) || BARE_BASE64.test(value)) {
    throw new TlsFault(key, 'expected a path, or PEM text with its "-----BEGIN …-----" line');
  }
  try {
    return readFile(value);
  } catch (error) {
    throw new TlsFault(key, `${value} cannot be read: ${fileErrorText(error)}`, { cause: error });
  }
}

function certificatesOf(texts: TlsFiles, files: TlsFiles, key: 'cert' | 'ca'): X509Certificate[] {
  const blocks = blocksOf(texts[key], (label) => /^(X509 |TRUSTED )?CERTIFICATE$/.test(label));
  if (blocks.length === 0) {
    throw new TlsFault(
      key,
      `${nameOf(files, key)} has no certificate; expected PEM, "-----BEGIN CERTIFICATE-----"`,
    );
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      const which = `certificate ${index + 1} of ${blocks.length} in ${nameOf(files, key)}`;
      throw new TlsFault(key, `cannot read ${which}: ${reasonOf(error)}`, { cause: error });
    }
  });
}

function privateKeyOf(texts: TlsFiles, files: TlsFiles): KeyObject {
  const name = nameOf(files, 'key');
  const [block] = blocksOf(texts.key, (label) => label.endsWith('PRIVATE KEY'));
  if (block === undefined) {
    throw new TlsFault(
      'key',
      `${name} has no private key; expected PEM, "-----BEGIN PRIVATE KEY-----"`,
    );
  }
  if (block.includes('ENCRYPTED')) {
    throw new TlsFault('key', `${name} is encrypted; give the key without a passphrase`);
  }
  try {
    return createPrivateKey(block);
  } catch (error) {
    throw new TlsFault('key', `cannot read ${name}: ${reasonOf(error)}`, { cause: error });
  }
}

function blocksOf(text: string, isMeant: (label: string) => boolean): string[] {
  return [...text.matchAll(BLOCK)].filter(([, label]) => isMeant(label!)).map(([block]) => block);
}

/** A path is shown, PEM text is not. */
function nameOf(files: TlsFiles, key: TlsKey): string {
  return isPem(files[key]) ? 'the PEM text' : files[key];
}

/** OpenSSL's own reason, without its error queue around it. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { reason } = error as { reason?: unknown };
  return typeof reason === 'string' ? reason : error.message;
}
