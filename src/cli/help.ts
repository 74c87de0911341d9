/** What `pith help` and the commands' --help print. */

import { ADMIN_HELP } from './admin-options.ts';
import { BACKENDS, type CommandName, listCommands, SHELLS } from './commands.ts';

export const USAGE = `pith: a gateway between Pomelo clients and backends in any language

${listCommands()}
FILE defaults to ./pith.yaml. deploy/pith.yaml shows every key; PITH_A__B=… in the environment sets the
key a.b, and --set a.b=… overrides both.
`;

const SETTINGS = `  --live FILE                       a second file whose keys win, for what may change while the gateway runs:
                                    routes, backends, some limits, drain, log.level
  --set KEY=VALUE                   overrides one key, as in --set log.level=debug; may be repeated
  -h, --help                        print this

PITH_A__B=… in the environment sets the key a.b. --set overrides the environment, which overrides FILE. A relative
path in FILE is relative to FILE's folder; one in --set or a PITH_ variable, to the current folder.
`;

const CONFIG = `  FILE, or --config FILE, -c FILE   the configuration; default ./pith.yaml
${SETTINGS}`;

const CHECKED = '64 wrong arguments; 78 wrong configuration';

/** These read their own arguments, and have their own. */
export const OWN_HELP = ['client', 'probe', 'mock-backend', 'watch', 'profile'] as const;
export type HelpedCommand = Exclude<CommandName, (typeof OWN_HELP)[number]>;

/** By command; those of `OWN_HELP` are not here. */
export const HELP: Readonly<Record<HelpedCommand, string>> = {
  dev: `pith dev

Runs a gateway with a chat behind it, on this machine alone; no other server is needed. It prints how to send the first
request. Ctrl-C stops both. PITH_… in the environment changes the gateway's settings, such as its ports.

  -h, --help                        print this

Exit code: 0 stopped; 1 one of the two has ended by itself.
`,
  init: `pith init [DIR] --backend KIND

Writes a commented pith.yaml and a small backend, which answers one route and pushes once, and prints how to start
them. Nothing is overwritten. DIR defaults to the current folder.

  --backend KIND                    ${BACKENDS.join(', ')}
  -h, --help                        print this

go-nats is for NATS and needs a nats-server; the others are for gRPC, and need no other server.
Exit code: 0 written; 64 wrong arguments; 73 a file is there already, or cannot be written.
`,
  completion: `pith completion ${SHELLS.join('|')}

Prints a script that makes the shell complete commands, options and their values:

  eval "$(pith completion bash)"                                   # in ~/.bashrc
  eval "$(pith completion zsh)"                                    # in ~/.zshrc, after compinit
  pith completion fish > ~/.config/fish/completions/pith.fish
`,
  serve: `pith serve [FILE] [--live FILE] [--set KEY=VALUE …] [--ready-fd N] [--exit-with-parent] [--upgradable]

Runs the gateway until SIGTERM or Ctrl-C, which drains it. A second one ends the drain. SIGHUP, or a changed FILE,
reloads the configuration: all of what has changed, or nothing where some of it needs a restart or is wrong. SIGUSR2
upgrades it, see pith upgrade --help.

  --ready-fd N                      writes one line of JSON to file descriptor N once it listens, with the addresses
                                    and their real ports, and closes N
  --exit-with-parent                drains when stdin ends, as it does when the program that holds the other end is gone
  --upgradable                      makes pith upgrade possible with workers: 1, too: a parent holds the ports, and takes
                                    some memory of its own
${CONFIG}
Without FILE and without a ./pith.yaml the environment and --set are the whole configuration.
Exit code: 0 stopped; ${CHECKED}; 71 cannot listen on an address;
70 an internal error. Of these only 70 and 71 may go away by themselves.
`,
  upgrade: `pith upgrade [--pid N] [--json]

Lets the version of the program that is on disk now take over from the one that runs, on this machine: for each worker
in turn a new process is begun from the same path, gets all connections and sessions of the old one, and goes on as the
same gateway. Clients notice nothing; those that cannot move are closed as in a drain (TLS that ends in the gateway, half a
frame, a request that is not answered within five seconds). If the new version cannot start or does not fit, nothing
changes. The gateway must have been started with workers above 1, or with --upgradable; what cannot be upgraded so is its
parent, which holds the ports. SIGUSR2 at the parent does the same; the outcome is in its log.

  --pid N                           the pid of pith serve; default: the only one of this user
  --json                            print the outcome alone, as one line of JSON
  -h, --help                        print this

Exit code: 0 all workers were upgraded; 1 not, and it says why; 64 wrong arguments, or several gateways run here;
69 no gateway was found.
`,
  check: `pith check [FILE] [--json] [--set KEY=VALUE …]

Checks a configuration and the files that it names, and prints the route table. All mistakes are reported at once,
with file, line and key. Nothing is started, and no backend is contacted.

  --json                            print it as one line of JSON
${CONFIG}
Exit code: 0 valid; ${CHECKED}.
`,
  routes: `pith routes ROUTE [--uid UID] [--data JSON] [--json] [--config FILE] [--set KEY=VALUE …]

Shows where a client's message on ROUTE would go, and why: the rules in order, the backend, and the subject, method or
path that would be called. No backend is contacted.

  --uid UID                         the session is bound to this uid; default none
  --data JSON                       the session's data, as in '{"room":"r1"}'
  --sid SID                         the session's id; it decides where a rule has several backends
  --json                            print it as one line of JSON
  --config FILE, -c FILE            the configuration; default ./pith.yaml
${SETTINGS}
Exit code: 0 it reaches a backend; 1 it reaches none, and the client gets an error;
${CHECKED}.
`,
  health: `pith health [FILE] [--ready] [--json] [--set KEY=VALUE …]

Asks the gateway on this machine, at health.listen of its configuration, whether it is alive; for the health checks of
containers and supervisors. Prints what is wrong.

  --ready                           ask whether it takes new clients, too: not while it drains
  --json                            print it as one line of JSON
${CONFIG}
Without FILE and without a ./pith.yaml it asks 127.0.0.1:7072.
Exit code: 0 well; 1 not; 69 nothing answered; ${CHECKED}.
`,
  top: `pith top [--by outbox|outbox-age|round-trip|reconnects|silence] [--count N] [--admin HOST:PORT] [--json]

Shows the ten sessions of the fleet that are worst off: whose clients are slow to take what they are sent (outbox, in
bytes; outbox-age), far away (round-trip), come and go (reconnects: sessions of the same uid that ended on its gateway in
the last five to ten minutes), or have said nothing for long (silence).

  --by MEASURE                      default outbox
  --count N                         how many; default 10
${ADMIN_HELP}
  --json                            print it as one line of JSON
  -h, --help                        print this

Exit code: 0 shown; 1 the gateway refused; 64 wrong arguments; 69 nothing answered.
`,
  why: `pith why SID|UID|REF [--admin HOST:PORT] [--token TOKEN] [--json]
       pith why SID|UID|REF --log FILE [--json]

Says why a request failed, or a session ended: rule, backend, address, how long it waited, what the other side said, and
what to do. A ref is in the log, and in error answers with telemetry.refs. All gateways of the fleet are asked, through
one of them; once that is gone, its log has the answer.

  --admin HOST:PORT                 admin.listen of a gateway; default 127.0.0.1:7071; https://HOST:PORT for TLS
  --token TOKEN                     where it wants one; or PITH_ADMIN__TOKEN in the environment
  --log FILE                        a log of log.format json, read instead
  --json                            print it as one line of JSON
  -h, --help                        print this

Exit code: 0 explained; 1 nothing is known of it, or the gateway refused; 64 wrong arguments; 69 nothing answered.
`,
  schema: `pith schema

Prints the JSON Schema of pith.yaml. An editor that has it completes keys and underlines mistakes:

  pith schema > pith.schema.json
  # and as the first line of pith.yaml, for editors with yaml-language-server:
  # yaml-language-server: $schema=pith.schema.json

What needs more than one key, a file or a name server is checked by pith check only.
`,
  docs: `pith docs [DIR] [--check]

Writes the reference as Markdown: every key of the configuration with its default, commands, metrics, errors, close
reasons, methods of Control, events; and llms.txt, and openapi.json for POST /v1/<Method>. All of it is of this
version. DIR defaults to ./reference; pages of the same names are overwritten.

  --check                           write nothing, and say which pages in DIR are not up to date
  -h, --help                        print this

Exit code: 0 written, or up to date; 1 not up to date; 64 wrong arguments; 73 a page cannot be written.
`,
  version: `pith version

Prints the version.

  --json                            with those of Node and the platform, as one line of JSON
`,
};
