/** The configuration: YAML, variables, references, and the small languages inside strings; and the command line. */
import { ipAddress, Networks, parseNetwork } from '../../../src/ip.ts';
import { readArguments } from '../../../src/cli/arguments.ts';
import { readSettings } from '../../../src/cli/client-settings.ts';
import { readProbeSettings } from '../../../src/cli/probe.ts';
import { MockAnswers } from '../../../src/cli/mock-answers.ts';
import { UsageError } from '../../../src/cli/options.ts';
import {
  checkGrpcAddress,
  isLoopback,
  parseAddress,
  parseBus,
  parseHostPort,
  parseListenUrl,
} from '../../../src/config/address.ts';
import { mayConnect, parseClientRule } from '../../../src/config/client-rules.ts';
import { parseConsulService } from '../../../src/config/consul-service.ts';
import { parseYaml } from '../../../src/config/document.ts';
import { loadConfig, type LoadResult } from '../../../src/config/load.ts';
import {
  checkHeader,
  checkInstanceTemplate,
  checkPattern,
  checkRename,
  covers,
} from '../../../src/config/syntax.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../src/config/units.ts';
import { readInstances } from '../../../src/discovery/instances.ts';
import { patternMatches } from '../../../src/routing/route-table.ts';
import { isRoute } from '../../../src/routing/route.ts';
import { check, orError, same, type Target } from '../target.ts';

const FILES = [
  'id: pith\nlisten:\n  - url: auto://0.0.0.0:3010\n    dialect: pomelo\nbackends:\n  chat: { kind: grpc, address: "dns:///chat:9000" }\nroutes:\n  - { match: "chat.>", backend: chat, timeout: 3s }\n',
  'log: { level: ${env:LEVEL} }\nlimits:\n  packet: 64KiB\n  convert: ${file:/size}\n',
  'bus: nats://a:4222,b\nauth: { mode: connect, backend: x }\nbackends:\n  x: &x { kind: nats }\n  y: *x\n',
  'backends:\n  web: { kind: http, url: "http://h:80/game" }\n  fixed: { kind: reply, reply: { a: null, b: [1] } }\nroutes:\n  - match: "*.entry.enter"\n    split: [ { backend: web, weight: 1 } ]\n    path: /{server}/{method}\n',
  'a: [1, 2\n',
  '? [x]\n: y\n--- \nb: !!binary aGk=\n',
  'consul: { tags: ["a"], meta: { x: "1" }, check: http }\nclients: ["unity-socket >=0.3.0 <1.0.0"]\n',
];
const ENV = { LEVEL: 'debug', EMPTY: '', PITH_LIMITS__PACKET: '32KiB' };

function load(text: string): LoadResult {
  return loadConfig({ text, file: 'f.yaml', env: ENV, readFile: (path) => (path === '/size' ? '1MiB\n' : (() => { throw new Error('no such file'); })()) }); // prettier-ignore
}

const config: Target = {
  name: 'config',
  drives: [
    'config/load.ts loadConfig',
    'config/document.ts parseYaml',
    'config/interpolate.ts interpolate',
    'config/sections.ts readSections',
  ],
  forms: ['lines', 'words'],
  bytesMax: 1_500,
  replays: 20,
  seeds: FILES,
  tokens: [
    '&a',
    '*a',
    '!!',
    '<<: ',
    '|',
    '>',
    '- ',
    '? ',
    ': ',
    '{',
    '}',
    '[',
    ']',
    '${env:',
    '${file:',
    '$${',
    '#',
    '"',
    "'",
    '~',
    'null',
    '0x',
    '.inf',
    '\t',
    '---',
  ],
  // A schema of some hundred keys is walked whatever the text.
  steps: { base: 2_000_000, perByte: 20_000 },
  run(input) {
    const text = input.toString();
    const document = parseYaml(text, 'f.yaml');
    const lines = text.split('\n').length;
    for (const { line, message } of document.problems) {
      check(line >= 1 && line <= lines + 1, 'a problem is in the text', line, lines);
      check(message !== '', 'a problem says what is wrong');
    }
    const loaded = load(text);
    same(load(text), loaded, 'the same twice');
    if ('problems' in loaded) {
      check(loaded.problems.length > 0, 'what is refused has a problem');
      for (const problem of loaded.problems)
        check(
          problem.message !== '' && problem.line <= lines + 1,
          'a problem has a text and a place',
          problem,
        );
      return;
    }
    check(Object.isFrozen(loaded.config), 'a configuration is frozen');
    for (const warning of loaded.warnings) check(warning.message !== '', 'a warning has a text');
  },
};

const bits: Target = {
  name: 'config-texts',
  drives: [
    'config/units.ts parseDuration',
    'config/units.ts parseSize',
    'config/address.ts parseAddress',
    'config/address.ts parseHostPort',
    'config/address.ts parseListenUrl',
    'config/address.ts parseBus',
    'ip.ts parseNetwork',
    'config/client-rules.ts parseClientRule',
    'config/consul-service.ts parseConsulService',
    'config/syntax.ts checkPattern',
    'routing/route-table.ts patternMatches',
  ],
  forms: ['words', 'text'],
  bytesMax: 400,
  seeds: [
    '90s',
    '64KiB',
    '[::1]:3010',
    'unix:/run/pith.sock',
    'wss://0.0.0.0:443/',
    'nats://a:1,tls://b',
    'unity-socket >=0.3.0 <1.0.0',
    'consul:///chat?tag=blue&dc=dc1',
    'chat.*.>',
    '10.0.0.0/8',
    'dns:///h:1',
    '{data.room}',
    'a.b.c\nchat.>',
  ],
  run(input) {
    const [text = '', other = ''] = input.toString().split('\n');
    const ms = parseDuration(text);
    if (!Number.isNaN(ms))
      same(parseDuration(formatDuration(ms)), ms, 'parse(format(x)) = x for durations');
    const size = parseSize(text);
    if (!Number.isNaN(size))
      same(parseSize(formatSize(size)), size, 'parse(format(x)) = x for sizes');
    const place = orError(() => parseHostPort(text), RangeError);
    if (!(place instanceof Error)) {
      const { host, port } = place;
      check(host !== '' && port >= 0 && port <= 65_535, 'a place has a host and a port', place);
      same(
        parseHostPort(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`),
        place,
        'parse(print(x)) = x for places',
      );
    }
    const address = orError(() => parseAddress(text), RangeError);
    if (!(address instanceof Error)) isLoopback(address);
    const listen = orError(() => parseListenUrl(text), RangeError);
    if (!(listen instanceof Error))
      check(/^(?:wss?|tcp|tls|auto)$/.test(listen.scheme), 'a scheme is known', listen);
    const bus = orError(() => parseBus(text), RangeError);
    if (!(bus instanceof Error) && bus.kind === 'nats')
      for (const server of bus.servers)
        same(
          orError(() => parseHostPort(server), RangeError) instanceof Error,
          false,
          'a server is a place',
        );
    orError(() => parseConsulService(text), RangeError);
    const network = parseNetwork(text);
    if (network !== null) {
      const { address, bits, family } = network;
      same(parseNetwork(`${address}/${bits}`), network, 'parse(print(x)) = x for networks');
      const start = new Networks([text]).has(ipAddress(address));
      check(start || family === 6, 'a network has its first address', network);
    }
    checkGrpcAddress(text);
    rules(text, other);
    for (const wrong of [
      checkPattern(text),
      checkInstanceTemplate(text),
      checkRename(text),
      checkHeader(text, other),
    ])
      check(wrong === undefined || wrong !== '', 'what is wrong is said');
    if (checkPattern(text) === undefined && isRoute(other, 127)) {
      const pattern = `^${text
        .split('.')
        .map((segment) => (segment === '*' ? '[^.]+' : segment === '>' ? '.+' : segment))
        .join('\\.')}$`;
      same(
        patternMatches(text, other),
        new RegExp(pattern).test(other),
        'a pattern matches what its page says',
      );
      if (checkPattern(other) === undefined && covers(text, other) && isRoute(other, 127))
        check(patternMatches(text, other), 'what is covered is matched');
    }
  },
};

function rules(text: string, version: string): void {
  const rule = orError(() => parseClientRule(text), Error);
  if (rule instanceof Error) return;
  const { type, bounds } = rule;
  same(
    parseClientRule(
      [type, ...bounds.map(({ operator, version: bound }) => `${operator}${bound}`)].join(' '),
    ),
    rule,
    'parse(print(x)) = x for rules',
  );
  mayConnect([rule], type, version);
  for (const { operator, version: bound } of bounds) {
    const alone = { type, bounds: [{ operator, version: bound }] };
    same(
      mayConnect([alone], type, bound),
      operator.includes('='),
      'a bound holds for its own version where it says so',
    );
  }
}

const cli: Target = {
  name: 'command-line',
  steps: { base: 100_000, perByte: 3_000 },
  drives: [
    'cli/arguments.ts readArguments',
    'cli/options.ts readOptions',
    'cli/client-settings.ts readSettings',
    'cli/probe.ts readProbeSettings',
    'cli/server-settings.ts readServer',
    'cli/server-settings.ts readTimeout',
    'cli/server-settings.ts readRequest',
    'cli/server-settings.ts readDuration',
  ],
  forms: ['lines', 'words'],
  seeds: [
    'serve\n--config\nx.yaml\n--set\nlog.level=debug',
    'routes\na.b.c\n--uid=ann\n--data\n{"a":1}',
    'client\nws://h:1\n--request\na.b\n--timeout=3s',
    'tcp://h:1\n--user\n{"token":"t"}\n--request=a.b\n--json\n--timeout\n1s',
    'help\nserve',
    '-v',
    'check\n-c\n-x',
    '--\nserve',
    'ws://h\n--wait-pushes\n1s\n--ca=x\n--insecure\n--dialect\njson',
  ],
  tokens: ['--', '-c', '--set=', '--help', '-h', '='],
  run(input) {
    const args = input.toString().split('\n');
    for (const read of [
      () => readArguments(args),
      () => readSettings(args),
      () => readSettings(args.slice(1)),
      () => readProbeSettings(args),
    ]) {
      const found = orError(read as () => unknown, UsageError);
      if (found instanceof UsageError)
        check(found.message !== '', 'a mistake says what to write instead');
    }
  },
};

const mock: Target = {
  name: 'mock-answers',
  drives: ['cli/mock-answers.ts MockAnswers'],
  forms: ['lines', 'words'],
  bytesMax: 800,
  seeds: [
    '- { match: "chat.>", answer: { code: 200, who: "{uid}" }, delay: 5ms }\n- match: "*.b.c"\n  error: { code: 400, reason: X, message: m }\n  bind: "{body.name}"\n  pushes: [ { route: onX, body: [1], after: 1s } ]\n',
    '[]',
    '- 1',
  ],
  steps: { base: 500_000, perByte: 5_000 },
  run(input) {
    const answers = orError(() => MockAnswers.of(input.toString()), Error);
    if (answers instanceof Error) {
      check(answers.message !== '', 'a mistake says what is wrong');
      return;
    }
    for (const body of [{ name: 'ann', list: [1, { a: null }] }, null, 'x']) {
      const { delayMs, pushes, answer } = answers.of({
        route: 'chat.b.c',
        uid: 'ann',
        sid: 'g.1',
        body,
      });
      check(delayMs >= 0, 'a delay is not negative', delayMs);
      for (const { afterMs } of pushes) check(afterMs >= 0, 'a wait is not negative', afterMs);
      JSON.stringify(answer);
    }
  },
};

const instances: Target = {
  name: 'consul-instances',
  drives: ['discovery/instances.ts readInstances'],
  forms: ['json'],
  seeds: [
    '[{"Node":{"Address":"10.0.0.1"},"Service":{"Address":"","Port":9000,"Weights":{"Passing":5}}},{"Service":{"Address":"::1","Port":1}},{"Service":{"Address":"h.x","Port":70000}}]',
    'null',
    '{}',
  ],
  run(input) {
    const read = orError(() => readInstances(input.toString()), Error);
    if (read instanceof Error) {
      check(read.message.includes('not a list'), 'an error says what is wrong', read.message);
      return;
    }
    const addresses = read.list.map(({ address }) => address);
    same(
      addresses,
      [...new Set(addresses)].toSorted((a, b) => (a < b ? -1 : 1)),
      'each address once, in order',
    );
    for (const { address, weight } of read.list) {
      check(
        Number.isInteger(weight) && weight >= 1 && weight <= 65_535,
        'a weight is 1 to 65535',
        weight,
      );
      check(checkGrpcAddress(address) === undefined, 'an address is one that gRPC dials', address);
    }
  },
};

export const targets: readonly Target[] = [config, bits, cli, mock, instances];
