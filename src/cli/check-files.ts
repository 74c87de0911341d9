/** Checks the files that a configuration refers to, before anything is started. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';

import { readOwnKeys } from '../auth/jwt/own-keys.ts';
import { systemClock } from '../clock.ts';
import type { Finding } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import type { BackendConfig, GrpcBackendConfig } from '../config/schema-backends.ts';
import type { ClientTlsConfig, ServerTlsConfig } from '../config/schema-listen.ts';
import { backendsOf } from '../config/schema-routes.ts';
import type { Path } from '../config/schema-tree.ts';
import { BlocksFileError, readBlocksFile } from '../orders/blocks-file.ts';
import { fileErrorText } from '../errors.ts';
import { faultIn } from '../transport/certificate.ts';
import { readClientTls, TlsFault } from '../transport/pem.ts';
import { makeListenerDialects } from '../wiring/dialects.ts';
import { PomeloProjectError } from '../config/pomelo-project.ts';

export type FileFindings = {
  readonly problems: readonly Finding[];
  /** What is probably not intended. */
  readonly warnings: readonly Finding[];
};

const readFile = (path: string): string => readFileSync(path, 'utf8');

/** Why a file or folder cannot be read, with its name; undefined: it can. */
export function checkPath(location: string, kind: 'file' | 'folder'): string | undefined {
  try {
    const isFolder = statSync(location).isDirectory();
    if (kind === 'file' && isFolder) return `${location} is a folder; expected a file`;
    if (kind === 'folder' && !isFolder) return `${location} is a file; expected a folder`;
    accessSync(location, kind === 'folder' ? constants.R_OK | constants.X_OK : constants.R_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return `no such ${kind}: ${location}`;
    return `${location} cannot be read: ${fileErrorText(error)}`;
  }
}

/** Checks the contents of the files; each message names its file. */
export async function checkFiles(config: Config): Promise<FileFindings> {
  const project = checkPomeloProject(config);
  const schemas = Object.entries(config.backends).map(([name, backend]) =>
    checkBackendSchema(config, name, backend),
  );
  return {
    problems: [
      ...checkServerTls(config),
      ...checkClientTls(config),
      ...checkTokenKeys(config),
      ...project.problems,
      ...(await checkBlocks(config)),
      ...(await Promise.all(schemas)).flat(),
    ],
    warnings: project.warnings,
  };
}

async function checkBlocks({ blocks }: Config): Promise<Finding[]> {
  try {
    await readBlocksFile(blocks.file, systemClock);
    return [];
  } catch (error) {
    if (!(error instanceof BlocksFileError)) throw error;
    return error.message.split('\n').map((message) => ({ path: ['blocks', 'file'], message }));
  }
}

function checkServerTls(config: Config): Finding[] {
  const all: [Path, ServerTlsConfig][] = [
    ...config.listen.map(({ tls }, index): [Path, ServerTlsConfig] => [
      ['listen', index, 'tls'],
      tls,
    ]),
    [['control', 'tls'], config.control.tls],
    [['admin', 'tls'], config.admin.tls],
  ];
  return all.flatMap(([path, tls]) => {
    const fault = tls.cert === '' ? null : faultIn(tls, readFile);
    return fault === null ? [] : [{ path: [...path, fault.key], message: fault.message }];
  });
}

function checkTokenKeys({ auth }: Config): Finding[] {
  return auth.mode === 'jwt' ? [...readOwnKeys(auth.jwt, readFile).faults] : [];
}

function checkClientTls({ auth, backends, consul, nats }: Config): Finding[] {
  const all: [Path, ClientTlsConfig][] = [
    ...Object.entries(backends).flatMap(([name, backend]): [Path, ClientTlsConfig][] =>
      'tls' in backend ? [[['backends', name, 'tls'], backend.tls]] : [],
    ),
    [['consul', 'tls'], consul.tls],
    [['auth', 'jwt', 'tls'], auth.jwt.tls],
    [['nats', 'tls'], nats.tls],
  ];
  return all.flatMap(([path, tls]) => {
    try {
      readClientTls(tls, readFile);
      return [];
    } catch (error) {
      if (!(error instanceof TlsFault)) throw error;
      return [{ path: [...path, error.key], message: error.message }];
    }
  });
}

function checkPomeloProject(config: Config): FileFindings {
  const own = config.listen.findIndex(({ pomelo }) => pomelo.config_dir !== undefined);
  const path: Path =
    config.pomelo.config_dir === '' && own >= 0
      ? ['listen', own, 'pomelo', 'config_dir']
      : ['pomelo', 'config_dir'];
  const warnings: Finding[] = [];
  try {
    makeListenerDialects(config, systemClock, (message) => warnings.push({ path, message }));
    return { problems: [], warnings };
  } catch (error) {
    if (!(error instanceof PomeloProjectError)) throw error;
    return { problems: error.message.split('\n').map((message) => ({ path, message })), warnings };
  }
}

async function checkBackendSchema(
  config: Config,
  name: string,
  backend: BackendConfig,
): Promise<Finding[]> {
  if (backend.kind !== 'grpc' || backend.mode !== 'method') return [];
  // Loaded where it is needed: it brings a protobuf library.
  const { checkSchema } = await import('../upstream/method/schema-check.ts');
  const routes = config.routes.map((route, index) => ({ route, index }));
  const own = routes.filter(({ route }) =>
    backendsOf(route).some((share) => share.backend === name),
  );
  const faults = await checkSchema({ ...backend, methods: own.map(({ route }) => route.method) });
  return faults.map(({ method, message }) => {
    const by = own.find(({ route }) => method !== '' && route.method === method);
    if (by === undefined) return { path: ['backends', name, sourceOf(backend)], message };
    return { path: ['routes', by.index, 'method'], message: `${message} (backend "${name}")` };
  });
}

function sourceOf({ protos }: GrpcBackendConfig): string {
  return protos.length > 0 ? 'protos' : 'descriptors';
}
