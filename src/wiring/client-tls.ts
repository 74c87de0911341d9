/** Certificates and keys of a TLS client of ours, as the configuration gives them: read, and judged. */
import { readFileSync } from 'node:fs';

import { formatPath } from '../config/problem.ts';
import type { ClientTlsConfig } from '../config/schema-listen.ts';
import type { Path } from '../config/schema-tree.ts';
import { GatewayError } from '../errors.ts';
import { judgeClient, readTexts, TlsFault, type TlsFiles } from '../transport/pem.ts';

/**
 * The PEM texts; '' for what is not given, and for authorities that are the system's own.
 *
 * @throws {TlsFault} with what is wrong, naming the file.
 */
export function readClientTls(tls: ClientTlsConfig): TlsFiles {
  const files = tls.ca === 'system' ? { ...tls, ca: '' } : tls;
  const texts = readTexts(files, (file) => readFileSync(file, 'utf8'));
  judgeClient(texts, files);
  return texts;
}

/** @throws {GatewayError} BAD_ARGUMENT, naming the key below `path`. */
export function clientTlsOf(path: Path, tls: ClientTlsConfig): TlsFiles {
  try {
    return readClientTls(tls);
  } catch (error) {
    if (!(error instanceof TlsFault)) throw error;
    const why = `${formatPath([...path, error.key])}: ${error.message}`;
    throw new GatewayError('BAD_ARGUMENT', why, { cause: error });
  }
}
