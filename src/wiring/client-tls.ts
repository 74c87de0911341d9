/** Makes what a TLS client of the gateway presents and trusts. */
import { readFileSync } from 'node:fs';

import { formatPath } from '../config/problem.ts';
import type { ClientTlsConfig } from '../config/schema-listen.ts';
import type { Path } from '../config/schema-tree.ts';
import { GatewayError } from '../errors.ts';
import { type ClientTls, readClientTls, TlsFault } from '../transport/pem.ts';

/** @throws {GatewayError} BAD_ARGUMENT, naming the key below `path`. */
export function makeClientTls(path: Path, tls: ClientTlsConfig): ClientTls {
  try {
    return readClientTls(tls, (file) => readFileSync(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof TlsFault)) throw error;
    const why = `${formatPath([...path, error.key])}: ${error.message}`;
    throw new GatewayError('BAD_ARGUMENT', why, { cause: error });
  }
}
