/** `llms.txt`: what a language model should read first. [llmstxt.org] */

type Link = readonly [title: string, path: string, about: string];

/** Seen from the folder of the reference in the repository. */
const GUIDES: readonly Link[] = [
  ['Overview', '../../README.md', 'what Pith is, how to run it, its promises'],
  [
    'A backend, step by step',
    '../guides/backend.md',
    'on NATS and gRPC, in Python, Go and TypeScript',
  ],
  [
    'The contract with backends',
    '../../proto/README.md',
    'gRPC, NATS, HTTP, Unix sockets, pushes, groups, events, Control',
  ],
  ['Routes and settings', '../guides/routes.md', 'which message goes where'],
  ['Who may come in', '../guides/who-may-come-in.md', 'JSON Web Tokens, a backend that is asked'],
  ['Limits', '../guides/limits.md', 'what is bounded, and what happens at the bound'],
  ['From Pomelo', '../guides/from-pomelo.md', 'moving an existing project'],
  ['Pinus, Pitaya and Nano', '../guides/pinus-pitaya-nano.md', 'what to set for their clients'],
  ['Running it', '../README.md', 'image, chart, probes, drains, TLS, metrics, traces, sizing'],
  ['The client', '../../src/client/README.md', 'for browsers and Node'],
  ['The wire', '../../src/dialect/README.md', 'dialects, and which clients are tested'],
  ['Examples', '../examples/README.md', 'whole backends in several languages'],
];

/** @param pages Those of the reference: file, title. */
export function llmsText(pages: readonly (readonly [file: string, title: string])[]): string {
  return [
    '# Pith',
    '',
    '> A stateless gateway between Pomelo-protocol game clients (WebSocket, TCP) and backends on gRPC, NATS, HTTP or Unix ' +
      'sockets. One YAML file configures it; Control, an API on gRPC and HTTP, operates it.',
    '',
    'Facts that are easy to get wrong:',
    '',
    '- Ports: 3010 clients, 7070 Control on gRPC, 7071 Control on HTTP (`POST /v1/<Method>`), 7072 health and metrics.',
    '- A backend needs no SDK: it answers on NATS `pith.rpc.<route>`, or serves `pith.v1.Backend` on gRPC.',
    '- Durations need a unit (`10s`, `250ms`), sizes may have one (`64KiB`). `pith check` reports every mistake of a file.',
    '- The message of a client goes where the first matching rule of `routes` says; no rule: 404 `NO_ROUTE`.',
    '- Requests are answered exactly once; pushes are delivered at most once.',
    '',
    '## Reference',
    '',
    ...pages.map(([file, title]) => `- [${title}](${file})`),
    '',
    '## Guides',
    '',
    ...GUIDES.map(([title, path, about]) => `- [${title}](${path}): ${about}`),
    '',
  ].join('\n');
}
