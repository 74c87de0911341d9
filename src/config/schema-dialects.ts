/** What clients were written for: Pomelo's own files and switches, and how a listener speaks to its clients. */
import { z } from 'zod';
import { parseClientRule } from './client-rules.ts';
import { checkOf, choice, flag, path, text, texts } from './fields.ts';

const pomeloKeys = {
  config_dir: path(
    'folder',
    "Folder with a Pomelo project's dictionary.json, serverProtos.json and clientProtos.json; empty: none.",
  ),
  env: text(
    '',
    'Subfolder of config_dir that is searched first, e.g. production; empty: none.',
    (value) => (/^[\w.-]+$/.test(value) ? undefined : 'expected the name of a folder'),
  ),
  use_dict: flag(true, 'Offer the route dictionary to clients.'),
  use_protobuf: flag(true, 'Offer protobuf for the routes that the protos cover.'),
  use_crypto: flag(false, "Check clients' signatures, as Pomelo's useCrypto."),
  on_bad_signature: choice(
    ['drop', 'error', 'close'],
    'drop',
    'What to do with a bad signature: drop the message as Pomelo does, answer 403, or close the session.',
  ),
  client_types: texts(
    'Clients that may connect, by sys.type and optionally sys.version, e.g. "unity-socket >=0.3.0 <1.0.0"; ' +
      'others get 501. Empty: any.',
    checkOf(parseClientRule),
  ),
};

/** What Pomelo's own files and switches decide, for all listeners. */
export const pomeloSchema = z
  .strictObject(pomeloKeys)
  .prefault({})
  .describe("What Pomelo's own files and switches decide.");

/** The same for one listener: an omitted key is as in `pomelo`. */
const pomeloOfListener = z
  .strictObject({
    config_dir: pomeloKeys.config_dir.unwrap().optional().describe('As pomelo.config_dir.'),
    env: pomeloKeys.env.unwrap().optional().describe('As pomelo.env.'),
    use_dict: pomeloKeys.use_dict.unwrap().optional().describe('As pomelo.use_dict.'),
    use_protobuf: pomeloKeys.use_protobuf.unwrap().optional().describe('As pomelo.use_protobuf.'),
    use_crypto: pomeloKeys.use_crypto.unwrap().optional().describe('As pomelo.use_crypto.'),
    on_bad_signature: pomeloKeys.on_bad_signature
      .unwrap()
      .optional()
      .describe('As pomelo.on_bad_signature.'),
    client_types: pomeloKeys.client_types.unwrap().optional().describe('As pomelo.client_types.'),
  })
  .prefault({})
  .describe('Overrides of `pomelo` for this listener; an omitted key is as there.');

/** Keys of a listener about the dialect of its clients. */
export const dialectKeys = {
  dialect: choice(
    ['pomelo', 'pitaya', 'nano', 'json'],
    'pomelo',
    'The server that the clients were written for; json: text messages, for any WebSocket client.',
  ),
  profile: choice(
    ['auto', 'pomelo', 'browser', 'plain', 'libpomelo', 'libpomelo2'],
    'auto',
    'With dialect pomelo, what the clients can read; auto: chosen by the handshake. ' +
      'browser: stock JavaScript; plain: JSON bodies and no route codes.',
  ),
  serializer: choice(
    ['json', 'protobuf'],
    'json',
    'With dialect pitaya, the body format that the handshake announces; errors use it too.',
  ),
  compress: flag(true, 'With dialect pitaya, compress bodies of 128 bytes and more.'),
  answer_errors: flag(
    false,
    'With dialect nano, answer failed requests, which Nano itself does not.',
  ),
  pomelo: pomeloOfListener,
};

/** What Pomelo's own files and switches decide. */
export type PomeloConfig = z.output<typeof pomeloSchema>;
