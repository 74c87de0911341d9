/** Where a schema comes from: the disk, a backend's reflection; and what happens when it changes. */
import { Metadata } from '@grpc/grpc-js';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf';
import {
  FileDescriptorProtoSchema,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { TimerWheel } from '../../src/timer-wheel.ts';
import { bundledFile } from '../../src/upstream/method/proto/bundled.ts';
import { SchemaDisk, type SchemaPaths } from '../../src/upstream/method/descriptors.ts';
import { connectGrpc } from '../../src/upstream/grpc-client/grpc-js-connection.ts';
import {
  type GrpcConnection,
  RECEIVE_BYTES_MAX,
} from '../../src/upstream/grpc-client/grpc-connection.ts';
import { Linker } from '../../src/upstream/method/proto/linker.ts';
import { parseProto } from '../../src/upstream/method/proto/parser.ts';
import { reflect } from '../../src/upstream/method/reflection.ts';
import { checkSchema } from '../../src/upstream/method/schema-check.ts';
import {
  LOOK_EVERY_MS,
  REFLECT_EVERY_MS,
  SchemaKeeper,
} from '../../src/upstream/method/schema-keeper.ts';
import { makeSchema, type Schema } from '../../src/upstream/method/schema.ts';
import { ManualClock } from '../support/clock.ts';
import { keptReport, type LogLine } from '../support/report.ts';
import { MethodBackend } from '../support/method-backend.ts';
import { SOON } from '../support/wait.ts';

const HEAD = 'syntax = "proto3"; package t;';
const ONE = `${HEAD} message M { string a = 1; } service S { rpc One(M) returns (M); }`;
const TWO = ONE.replace('rpc One', 'rpc Two(M) returns (M); rpc One');

const dirs: string[] = [];
const open: { close(): void }[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one.close();
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** In plain text. */
function dial(address: string): GrpcConnection {
  const plain = { address, authority: '', tls: null, receiveBytesMax: RECEIVE_BYTES_MAX };
  return connectGrpc(plain, { http2Goaway: () => {}, streamsMax: () => {} });
}

/** A folder with these files. */
function folder(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'pith-schema-'));
  dirs.push(dir);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

function build(dir: string): string {
  const file = join(folder({}), 'set.binpb');
  execFileSync('buf', ['build', dir, '-o', file]);
  return file;
}

async function load(paths: Partial<SchemaPaths>, services = ['t.S']) {
  return makeSchema(
    await new SchemaDisk({ descriptors: [], protos: [], ...paths }).read(),
    services,
  );
}

describe('what our parser and linker make of .proto files is what buf makes', () => {
  test.each([
    ['this project', fileURLToPath(new URL('../../proto', import.meta.url))],
    [
      'the example',
      fileURLToPath(new URL('../../deploy/examples/rooms-grpc-go/proto', import.meta.url)),
    ],
    ['all there is in the language', null],
  ])('%s', (_, path) => {
    const dir = path ?? folder(LANGUAGE);
    const theirs = fromBinary(FileDescriptorSetSchema, readFileSync(build(dir))).file;
    const linker = new Linker();
    const ours = theirs.map(({ name }) => {
      const known = existsSync(join(dir, name));
      return known ? parseProto(name, readFileSync(join(dir, name), 'utf8')) : bundledFile(name)!;
    });
    for (const file of ours) expect(linker.add(file)).toBe('');
    for (const file of ours) expect(linker.link(file)).toEqual([]);
    expect(ours.map(essence)).toEqual(theirs.map(essence));
  });
});

/** Two files of the author, with what the three languages have. */
const LANGUAGE = {
  'a/two.proto': `syntax = "proto2"; package a.two; import public "a/three.proto"; import "google/protobuf/any.proto";
    message Outer { required int32 need = 1; optional string may = 2 [default = "x"]; repeated int32 many = 3 [packed = true];
      optional group Grp = 4 { optional Outer again = 1; } extensions 100 to 199; enum Inner { A = 0; B = -1; }
      optional Inner inner = 5 [default = B]; map<string, three.Thing> things = 6; oneof pick { int32 x = 7; Inner y = 8; }
      message Deep { optional .a.three.Thing thing = 1; optional two.Outer.Inner e = 2; } optional google.protobuf.Any any = 9; }
    extend Outer { optional int32 more = 100; repeated Outer.Deep deep = 101; }`,
  'a/three.proto': `syntax = "proto3"; package a.three; import "google/protobuf/timestamp.proto";
    message Thing { optional int32 maybe = 1; int32 plain = 2 [json_name = "PLAIN"]; repeated sint64 zz = 3 [packed = false];
      google.protobuf.Timestamp when = 4; oneof o { string s = 5; bytes b = 6; } optional Thing again = 7; map<int64, E> es = 8; }
    enum E { option allow_alias = true; ZERO = 0; ALSO = 0; }
    service Things { rpc Get(Thing) returns (stream .a.three.Thing); rpc Put(stream Thing) returns (Thing) {} }`,
  'a/edition.proto': `edition = "2023"; package a.ed; option features.enum_type = CLOSED; import "a/two.proto";
    message M { int32 e = 1 [features.field_presence = IMPLICIT]; string l = 2 [features.field_presence = LEGACY_REQUIRED];
      M d = 3 [features.message_encoding = DELIMITED]; repeated int32 r = 4 [features.repeated_field_encoding = EXPANDED];
      a.three.Thing t = 5; N n = 6; } enum N { option features.enum_type = OPEN; Z = 0; }`,
};

/** What changes neither bytes nor JSON, and so is read over. */
const READ_OVER = [
  'reservedRange',
  'reservedName',
  'extensionRange',
  'defaultValue',
  'sourceCodeInfo',
];
/** The options that are kept. */
const KEPT = ['mapEntry', 'packed', 'features'];

/** A descriptor without what is read over. */
function essence(file: FileDescriptorProto): unknown {
  const strip = (value: unknown, only: readonly string[] | null): unknown => {
    if (Array.isArray(value)) return value.map((item) => strip(item, null));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value)
      .filter(([key, item]) => (only?.includes(key) ?? !READ_OVER.includes(key)) && item !== false)
      .map(([key, item]) => [key, strip(item, key === 'options' ? KEPT : null)] as const)
      .filter(([key, item]) => key !== 'options' || Object.keys(item as object).length > 0);
    return Object.fromEntries(entries);
  };
  const json = strip(toJson(FileDescriptorProtoSchema as DescMessage, file), null);
  // The library writes what is not set as proto2.
  return { syntax: 'proto2', ...(json as object) };
}

describe('on the disk', () => {
  test('a set, a folder, or both; a folder in a folder, and imports by their names below it', async () => {
    const dir = folder({
      'x/a.proto': ONE.replace(';', '; import "y/b.proto";'),
      'y/b.proto': HEAD,
    });
    for (const paths of [{ protos: [dir] }, { protos: [`${dir}/`] }, { descriptors: [build(dir)] }])
      expect([...((await load(paths)) as Schema).methods.keys()]).toEqual(['/t.S/One']);
    const two = folder({ 'c.proto': `${HEAD} message C {} service T { rpc A(C) returns (C); }` });
    const both = await load({ descriptors: [build(dir)], protos: [two] }, ['t.S', 't.T']);
    expect([...(both as Schema).methods.keys()]).toEqual(['/t.S/One', '/t.T/A']);
  });

  test('a broken file is said with its place, if the service is not found without it', async () => {
    const dir = folder({
      'a.proto': ONE.replace('string a', 'string'),
      'b.proto': ONE.replaceAll('S', 'T'),
    });
    expect(await load({ protos: [dir] }, ['t.T'])).toHaveProperty('digest');
    expect(await load({ protos: [dir] })).toEqual({
      problems: [
        'no service t.S; did you mean "t.T"?',
        `${dir}/a.proto:1:50: expected the field's name, got "="`,
      ],
    });
  });

  test.each([
    ['no file', (dir: string) => `${dir}/none.binpb`, /ENOENT/],
    [
      'a .proto instead of a set',
      (dir: string) => `${dir}/a.proto`,
      /not a FileDescriptorSet; make one with "buf build/,
    ],
    ['an empty file', (dir: string) => `${dir}/empty`, /a FileDescriptorSet without files/],
  ])('%s is said, with what to do', async (_, path, what) => {
    const dir = folder({ 'a.proto': ONE, empty: '' });
    const made = await load({ descriptors: [path(dir)] });
    expect(made).toEqual({ problems: [expect.any(String), expect.stringMatching(what)] });
    expect((made as { problems: string[] }).problems[1]).toContain(path(dir));
  });

  test.each([
    [
      'a folder without any',
      () => folder({ 'a.txt': '' }),
      /there is no \.proto file in this folder/,
    ],
    ['no folder', () => '/nowhere/at/all', /ENOENT/],
    ['a file instead of a folder', () => join(folder({ 'a.proto': ONE }), 'a.proto'), /ENOTDIR/],
  ])('%s is said', async (_, path, what) => {
    const made = await load({ protos: [path()] });
    expect(made).toEqual({ problems: [expect.any(String), expect.stringMatching(what)] });
  });
});

describe('what `pith check` can say', () => {
  const check = (methods: string[], more: object = {}) => {
    const dir = folder({
      'a.proto': ONE.replace('rpc One', 'rpc Up(stream M) returns (M); rpc One'),
    });
    const paths = { descriptors: [], protos: [dir], services: ['t.S'], reflection: false };
    return checkSchema({ ...paths, methods, ...more });
  };

  test('of routes that name a method, and of files', async () => {
    expect(await check(['/t.S/One', 't.S/One', '/t.S/{method}', '/{server}/x'])).toEqual([]);
    expect(await check(['/t.S/Oen', '/t.S/Oen', '/t.S/Up'])).toEqual([
      {
        method: '/t.S/Oen',
        message: 'no method /t.S/Oen in the listed services; did you mean "/t.S/One"?',
      },
      {
        method: '/t.S/Up',
        message: '/t.S/Up is client_streaming; unary and server-streaming methods can be called',
      },
    ]);
    expect(await check([], { services: ['t.Gone'] })).toEqual([
      { method: '', message: 'no service t.Gone; there are t.S' },
    ]);
  });

  test('nothing where the backend would have to be asked', async () => {
    expect(await check(['/t.S/Gone'], { reflection: true })).toEqual([]);
  });
});

describe('by reflection', () => {
  const ask = async (backend: MethodBackend, services: string[]) => {
    const channel = dial(backend.address);
    open.push(channel);
    return reflect(channel, services, new Metadata(), Date.now() + 10_000);
  };
  const proto = `${HEAD} import "google/protobuf/timestamp.proto";
    message M { google.protobuf.Timestamp at = 1; } service S { rpc One(M) returns (M); }`;

  test.each(['v1', 'v1alpha'] as const)(
    '%s: the listed services and what they need',
    async (reflection) => {
      const handler = (): void => {};
      await using backend = await MethodBackend.start({
        proto,
        service: 't.S',
        handler,
        reflection,
      });
      const files = await ask(backend, ['t.S']);
      expect(files.map(({ name }) => name)).toEqual(['test.proto']);
      // What everybody has is not asked for.
      expect(backend.reflected).toEqual(['t.S']);
      await expect(ask(backend, ['t.Gone'])).rejects.toThrow(
        'reflection does not know service t.Gone: no t.Gone',
      );
    },
  );

  test('a backend without it', async () => {
    const handler = (): void => {};
    await using backend = await MethodBackend.start({ proto, service: 't.S', handler });
    await expect(ask(backend, ['t.S'])).rejects.toThrow(
      'the backend has no server reflection: register it, or use descriptors or protos',
    );
  });
});

/** Deadlines of real servers are on the real clock. */
class LookClock extends ManualClock {
  override wallNow(): number {
    return Date.now();
  }
}

/** A keeper with a clock that is set by hand, and what it said. */
class Kept {
  readonly clock = new LookClock();
  readonly keeper: SchemaKeeper;
  readonly #report = keptReport('game', 'grpc', this.clock);
  channel: GrpcConnection | null = null;

  constructor(options: Partial<SchemaPaths> & { reflection?: boolean; digest?: string }) {
    const wheel = new TimerWheel(this.clock);
    open.push({ close: () => this.keeper.close() });
    this.keeper = new SchemaKeeper(
      {
        ...{ descriptors: [], protos: [], services: ['t.S'], reflection: false, digest: '' },
        metadata: {},
        ...options,
        clock: this.clock,
        wheel,
      },
      this.#report.report,
      () => this.channel,
    );
  }

  /** Those that were taken. */
  get schemas(): LogLine[] {
    return this.#report.lines.filter(({ msg }) => msg === 'schema');
  }

  /** Those of each schema that was refused. */
  get problems(): readonly string[][] {
    const refused = this.#report.lines.filter(({ msg }) => msg === 'schema refused');
    return refused.map(({ problems }) => problems as string[]);
  }

  get methods(): string[] {
    return [...(this.keeper.schema?.methods.keys() ?? [])];
  }

  /** Lets time go by until what is expected has come to be. */
  async until(expectation: () => void, stepMs = LOOK_EVERY_MS): Promise<void> {
    await vi.waitFor(() => {
      this.clock.advance(stepMs + 20);
      expectation();
    }, SOON);
  }
}

describe('a schema that changes', () => {
  test('on the disk is taken when it is whole, and the old one stays while it is not', async () => {
    const dir = folder({ 'a.proto': ONE });
    const kept = new Kept({ protos: [dir] });
    await kept.keeper.look();
    expect(kept.methods).toEqual(['/t.S/One']);
    const before = kept.keeper.schema;
    writeFileSync(join(dir, 'a.proto'), TWO.replace('message M {', 'message {'));
    await kept.until(() => {
      expect(kept.problems).toHaveLength(1);
    });
    expect(kept.keeper.schema).toBe(before);
    writeFileSync(join(dir, 'a.proto'), TWO);
    await kept.until(() => {
      expect(kept.methods).toEqual(['/t.S/Two', '/t.S/One']);
    });
    expect(kept.schemas).toHaveLength(2);
    expect(kept.problems).toHaveLength(1);
  });

  test('as a mounted ConfigMap changes: by a link', async () => {
    const dir = folder({ '..1/a.proto': ONE, '..2/a.proto': TWO });
    symlinkSync('..1', join(dir, '..data'));
    symlinkSync('..data/a.proto', join(dir, 'a.proto'));
    const kept = new Kept({ protos: [dir] });
    await kept.keeper.look();
    expect(kept.methods).toHaveLength(1);
    symlinkSync('..2', join(dir, '..tmp'));
    renameSync(join(dir, '..tmp'), join(dir, '..data'));
    await kept.until(() => {
      expect(kept.methods).toHaveLength(2);
    });
  });

  test('that was not there at first is found, and one that goes away stays in use', async () => {
    const file = join(folder({}), 'set.binpb');
    const kept = new Kept({ descriptors: [file] });
    await kept.keeper.look();
    expect(kept.keeper.schema).toBeNull();
    expect(kept.problems).toHaveLength(1);
    const set = build(folder({ 'a.proto': ONE }));
    writeFileSync(file, readFileSync(set));
    await kept.until(() => {
      expect(kept.methods).toHaveLength(1);
    });
    unlinkSync(file);
    await kept.until(() => {
      expect(kept.problems).toHaveLength(2);
    });
    expect(kept.methods).toHaveLength(1);
  });

  test('at the backend is asked for again, now and then; the same one is not taken twice', async () => {
    const options = { service: 't.S', handler: (): void => {}, reflection: 'v1' } as const;
    await using one = await MethodBackend.start({ ...options, proto: ONE });
    await using two = await MethodBackend.start({ ...options, proto: TWO });
    const channels = [dial(one.address), dial(two.address)];
    open.push(...channels);
    const kept = new Kept({ reflection: true });
    await kept.keeper.look();
    expect(kept.keeper.schema).toBeNull();
    kept.channel = channels[0]!;
    await kept.keeper.look();
    expect(kept.methods).toHaveLength(1);
    await kept.keeper.look();
    expect(one.reflected).toEqual(['t.S']);
    await kept.until(() => {
      expect(one.reflected).toEqual(['t.S', 't.S']);
    }, REFLECT_EVERY_MS);
    kept.channel = channels[1]!;
    await kept.until(() => {
      expect(kept.methods).toHaveLength(2);
    }, REFLECT_EVERY_MS);
    expect(kept.schemas).toHaveLength(2);
  });

  test('to one that is not the pinned is refused, with both digests', async () => {
    const dir = folder({ 'a.proto': ONE });
    const { digest } = (await load({ protos: [dir] })) as Schema;
    const kept = new Kept({ protos: [dir], digest });
    await kept.keeper.look();
    expect(kept.methods).toHaveLength(1);
    writeFileSync(join(dir, 'a.proto'), TWO);
    await kept.until(() => {
      expect(kept.problems).toEqual([
        [expect.stringMatching(`^the schema is sha256:\\w+, and reflection_digest is ${digest}$`)],
      ]);
    });
    expect(kept.methods).toHaveLength(1);
  });
});
