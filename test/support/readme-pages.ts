/** README.md and the guides, with what is run of each and what is not; readme.test.ts runs them. */
import { Page, type PageOptions } from './page.ts';
import type { Shell } from './readme.ts';

export const SERVE = 'npm run -s pith -- serve --config ~/hello/pith.yaml';
const WAITING =
  `npm run -s pith -- client --request chat.room.join ` +
  `--data '{"name":"ann","room":"lobby"}' --wait-pushes 10m`;
const LOGGED_IN =
  `npm run -s pith -- client --request connector.entryHandler.enter ` +
  `--data '{"token":"token-of-ann"}' --wait-pushes 10m`;
export const PYTHON = '.venv/bin/python main.py';

const PYTHON_FIRST = {
  'python3 -m venv .venv': 'the environment of the Python example is linked instead',
  '.venv/bin/pip install nats-py': 'it is in that environment, in the version of the example',
};
const GO_FIRST = {
  'go mod init hello': "a go.mod with the Go examples' versions is written instead",
  'go mod tidy': 'that go.mod and its go.sum are complete',
};
const GO_INSTALL = 'downloads and builds; test/tools/install.sh does the same with a fixed version';
const CHAT_OF_POMELO =
  'npm run -s pith -- serve --config deploy/examples/pomelo-chat-python-nats/pith.yaml';
const BY_CONNECTOR = 'conformance/pomelo-connector.test.ts does, with a server of its own';
const PITAYA = 'PITH_LISTEN__0__DIALECT=pitaya make run';
const NANO = 'PITH_LISTEN__0__DIALECT=nano make run';

/** By their names here: the path, and what is run. */
const PAGES = {
  readme: [
    'README.md',
    {
      stays: {
        'make run': /client ws:\/\/127\.0\.0\.1:3010\n/,
        [WAITING]: /\{"code":200,"room":"lobby"\}\n/,
        'nats-server': /Server is ready/,
        [PYTHON]: /^/,
        [SERVE]: /"msg":"listening"/,
      },
      notRun: {
        ...PYTHON_FIRST,
        'kubectl port-forward deploy/pith 7070': 'needs a cluster',
        'docker build -f deploy/Dockerfile -t registry.example.com/pith:0.1.0 .':
          '`make image-test` builds the image',
        'helm install pith deploy/helm/pith -f values.yaml': '`make cluster-test` installs it',
        'helm test pith': '`make cluster-test` installs it',
        'make check': 'runs beside this, and takes long',
        'make test': 'runs this',
        'make oracle': 'conformance/oracle.test.ts runs it',
        'make bench': 'takes minutes, and the machine for itself',
        'make simulate HOURS=24': 'takes minutes; simulate.test.ts plays a short one',
      },
    },
  ],

  guide: [
    'deploy/guides/backend.md',
    {
      stays: {
        'nats-server': /Server is ready/,
        [SERVE]: /"msg":"listening"/,
        [LOGGED_IN]: /\{"code":200\}\n/,
      },
      notRun: {
        ...PYTHON_FIRST,
        ...GO_FIRST,
        'npm install @grpc/grpc-js @grpc/proto-loader':
          "this clone's node_modules are linked instead",
        'kubectl port-forward deploy/pith 7070': 'needs a cluster',
      },
    },
  ],

  routes: ['deploy/guides/routes.md', {}],
  limits: ['deploy/guides/limits.md', {}],
  secrets: ['deploy/guides/rotating-secrets.md', {}],
  privacy: ['deploy/guides/personal-data.md', {}],
  auth: ['deploy/guides/who-may-come-in.md', { stays: { [SERVE]: /"msg":"listening"/ } }],

  tools: [
    'deploy/guides/tools.md',
    {
      notRun: {
        'go install github.com/nats-io/nats-server/v2@latest': GO_INSTALL,
        'go install github.com/nats-io/natscli/nats@latest': GO_INSTALL,
        'go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest': GO_INSTALL,
        'export PATH="$PATH:$(go env GOPATH)/bin"': "is for the reader's own shell",
      },
    },
  ],

  pomelo: [
    'deploy/guides/from-pomelo.md',
    {
      stays: {
        'nats-server': /Server is ready/,
        'make example-pomelo-python': /ready\n/,
        [CHAT_OF_POMELO]: /"msg":"listening"/,
      },
      notRun: {
        'git clone https://github.com/NetEase/chatofpomelo-websocket ../chatofpomelo-websocket':
          'needs the network; `make tutorial` plays the page of that clone',
        'python3 -m http.server -d ../chatofpomelo-websocket/web-server/public 3001':
          'conformance/tutorial.test.ts has the page of its own',
        'cd ../chatofpomelo-websocket/game-server && npm install && npm install nats@2':
          BY_CONNECTOR,
        'cp deploy/examples/pomelo-connector-nats/pith-connector.cjs ../chatofpomelo-websocket/game-server/pith-connector.js':
          BY_CONNECTOR,
        'cd ../chatofpomelo-websocket/game-server && node app.js': BY_CONNECTOR,
        'npm run -s pith -- serve --config deploy/examples/pomelo-connector-nats/pith.yaml':
          BY_CONNECTOR,
      },
    },
  ],

  families: [
    'deploy/guides/pinus-pitaya-nano.md',
    {
      stays: {
        [PITAYA]: /client ws:\/\/127\.0\.0\.1:3010\n/,
        [NANO]: /client ws:\/\/127\.0\.0\.1:3010\n/,
      },
    },
  ],
} satisfies Record<string, readonly [string, PageOptions]>;

export type ReadmePages = Readonly<Record<keyof typeof PAGES, Page>>;

export function readmePages(theShell: () => Shell): ReadmePages {
  const entries = Object.entries(PAGES).map(([name, [path, options]]) => [
    name,
    new Page(path, theShell, options),
  ]);
  return Object.fromEntries(entries) as ReadmePages;
}
