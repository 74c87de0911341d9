/** What reads or parses and is no target, each with its reason; `unit/fuzz.test.ts` fails for anything else. */
export const NOT_FUZZED: Readonly<Record<string, string>> = {
  'auth/jwt/own-keys.ts readOwnKeys':
    'reads files and gives them to readVerifyKeys, which is a target',
  'cli/read-config.ts readAgain': 'is readConfig',
  'cli/read-config.ts readConfig': 'reads a file and gives it to loadConfig, which is a target',
  'config/route-examples.ts parseExample':
    'one regular expression over a text of the configuration, which loadConfig checks, and that is a target',
  'config/pomelo-project.ts readPomeloProject':
    'reads files; the dictionary and the definitions in them are targets',
  'orders/blocks-file.ts readBlocksFile':
    'reads a file and gives it to readBlocks, which is a target',
  'takeover/gateway-state.ts readGateway':
    'what another process of the gateway itself has written, with a table of its own',
  'takeover/session-state.ts readSession':
    'what another process of the gateway itself has written, with a table of its own',
  'takeover/session-state.ts readKey': 'a part of what readSession reads',
  'takeover/session-state.ts readChanges': 'a part of what readSession reads',
  'ref.ts parseRef': 'one regular expression, with a table of its own',
  'upstream/method/proto/messages.ts MessageParser': 'a part of parseProto',
  'upstream/method/proto/options.ts readTypeName': 'a part of parseProto',
  'upstream/method/proto/options.ts readInlineOptions': 'a part of parseProto',
  'upstream/method/proto/options.ts readOptionLine': 'a part of parseProto',
  'upstream/method/proto/options.ts readOver': 'a part of parseProto',
  'web/playground/address.ts readAddress': 'in a browser: what its own user types',
  'cli/profile.ts readProfileSettings': 'the arguments of a command, from a person',
  'cli/watch.ts readWatchSettings': 'the arguments of a command, from a person',
};
