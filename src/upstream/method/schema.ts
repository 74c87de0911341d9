/** What a backend's own services look like: their methods, and every message that may occur in them. */
import { createHash } from 'node:crypto';

import {
  create,
  createFileRegistry,
  type DescMessage,
  type FileRegistry,
  toBinary,
} from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel,
} from '@bufbuild/protobuf/wkt';

import { didYouMean } from '../../config/problem.ts';
import { errorText } from '../../errors.ts';
import { bundledFile } from './proto/bundled.ts';
import { Linker } from './proto/linker.ts';

/** At most this many problems are reported at once; the first usually cause the others. */
const PROBLEMS_MAX = 20;

export type Method = {
  /** As on the wire: `/lobby.v1.Rooms/Join`. */
  readonly path: string;
  readonly kind: 'unary' | 'server_streaming' | 'client_streaming' | 'bidi_streaming';
  readonly input: DescMessage;
  readonly output: DescMessage;
  /** By its `idempotency_level`: it may be called again. A stream may not: its messages were pushed. */
  readonly idempotent: boolean;
};

export type Schema = {
  /** Also of messages that only an Any may hold. */
  readonly registry: FileRegistry;
  /** The methods of the listed services, by path. */
  readonly methods: ReadonlyMap<string, Method>;
  /** `sha256:` and hex, of the files that the listed services need. */
  readonly digest: string;
};

/** Where a schema comes from, read and parsed. */
export type SchemaFiles = {
  /** `from` is a descriptor set, a folder, or a backend. */
  readonly files: readonly { readonly proto: FileDescriptorProto; readonly from: string }[];
  /** What could not be read; reported if a service is not found in the rest. */
  readonly problems: readonly string[];
};

export type Problems = { readonly problems: readonly string[] };

/**
 * Links the files and picks the listed services. Files that these do not need are taken along for `Any` where they
 * are sound, and left out where they are not.
 */
export function makeSchema(sources: SchemaFiles, services: readonly string[]): Schema | Problems {
  const problems: string[] = [];
  const files = filesByName(sources, problems);
  const owners = ownersOf(files);
  const roots: string[] = [];
  for (const service of services) {
    const owner = owners.get(service);
    if (owner === undefined) problems.push(noService(service, [...owners.keys()]));
    else if (!roots.includes(owner)) roots.push(owner);
  }
  if (problems.length > 0)
    return { problems: [...problems, ...sources.problems].slice(0, PROBLEMS_MAX) };

  const linker = new Linker();
  const needed = inOrder(roots, files, problems);
  for (const file of needed) {
    const twice = linker.add(file);
    if (twice !== '') problems.push(`${twice} is in ${linker.fileOf(twice)} and in ${file.name}`);
  }
  for (const file of needed) problems.push(...linker.link(file));
  if (problems.length > 0) return { problems: [...new Set(problems)].slice(0, PROBLEMS_MAX) };

  const hash = createHash('sha256');
  for (const file of needed.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    hash.update(toBinary(FileDescriptorProtoSchema, file));
  const linked = [...needed, ...alsoSound(files, linker)];
  let registry: FileRegistry;
  try {
    registry = createFileRegistry(create(FileDescriptorSetSchema, { file: linked }));
  } catch (error) {
    return { problems: [errorText(error)] };
  }
  const methods = new Map<string, Method>();
  for (const service of services) addMethods(registry, service, methods);
  return { registry, methods, digest: `sha256:${hash.digest('hex')}` };
}

function addMethods(registry: FileRegistry, service: string, methods: Map<string, Method>): void {
  for (const method of registry.getService(service)!.methods) {
    const { name, methodKind: kind, input, output, idempotency } = method;
    const path = `/${service}/${name}`;
    const isSafe = idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN;
    methods.set(path, { path, kind, input, output, idempotent: kind === 'unary' && isSafe });
  }
}

function filesByName({ files }: SchemaFiles, problems: string[]): Map<string, FileDescriptorProto> {
  const byName = new Map<string, FileDescriptorProto>();
  const from = new Map<string, string>();
  for (const file of files) {
    const { name } = file.proto;
    // Without the comments, which nothing here needs, equal files are equal.
    file.proto.sourceCodeInfo = undefined;
    const other = byName.get(name);
    if (other === undefined) {
      byName.set(name, file.proto);
      from.set(name, file.from);
    } else if (!isSame(other, file.proto)) {
      problems.push(`${name} is in ${from.get(name)} and, different, in ${file.from}`);
    }
  }
  const open = [...byName.values()].flatMap(({ dependency }) => dependency);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (byName.has(name)) continue;
    const bundled = bundledFile(name);
    if (bundled === undefined) continue;
    byName.set(name, bundled);
    open.push(...bundled.dependency);
  }
  return byName;
}

function isSame(a: FileDescriptorProto, b: FileDescriptorProto): boolean {
  const bytes = (file: FileDescriptorProto): Uint8Array =>
    toBinary(FileDescriptorProtoSchema, file);
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}

/** The file of each service. */
function ownersOf(files: ReadonlyMap<string, FileDescriptorProto>): Map<string, string> {
  const owners = new Map<string, string>();
  for (const file of files.values())
    for (const { name } of file.service)
      owners.set(file.package === '' ? name : `${file.package}.${name}`, file.name);
  return owners;
}

function noService(service: string, known: readonly string[]): string {
  const near = didYouMean(service, known);
  const all = known.length === 0 ? 'the schema has no services' : `there are ${known.join(', ')}`;
  return `no service ${service}${near === '' ? `; ${all}` : near}`;
}

/** The files that these need, and they themselves, each behind what it imports. */
function inOrder(
  roots: readonly string[],
  files: ReadonlyMap<string, FileDescriptorProto>,
  problems: string[],
): FileDescriptorProto[] {
  const ordered: FileDescriptorProto[] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (name: string): void => {
    const file = files.get(name);
    if (file === undefined || done.has(name)) return;
    if (way.includes(name)) {
      problems.push(`circular imports: ${[...way.slice(way.indexOf(name)), name].join(', ')}`);
      return;
    }
    way.push(name);
    for (const imported of file.dependency) visit(imported);
    way.pop();
    done.add(name);
    ordered.push(file);
  };
  for (const name of roots) visit(name);
  return ordered;
}

/** What is not needed and can be linked anyway, each behind what it imports. */
function alsoSound(
  files: ReadonlyMap<string, FileDescriptorProto>,
  linker: Linker,
): FileDescriptorProto[] {
  const circles: string[] = [];
  const rest = inOrder([...files.keys()], files, circles).filter((file) => !linker.has(file.name));
  if (circles.length > 0) return [];
  const left = new Set<string>();
  return rest.filter((file) => {
    const isSound =
      !file.dependency.some((name) => left.has(name)) &&
      linker.add(file) === '' &&
      linker.link(file).length === 0;
    if (!isSound) left.add(file.name);
    return isSound;
  });
}
