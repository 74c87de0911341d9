/** Makes the dialect of each listener, of its configuration and of the Pomelo project that it points to. */
import type { Clock } from '../clock.ts';
import { type ClientRule, parseClientRule } from '../config/client-rules.ts';
import type { Config } from '../config/schema.ts';
import { JsonDialect } from '../dialect/json.ts';
import { NanoDialect } from '../dialect/nano.ts';
import { PitayaDialect } from '../dialect/pitaya.ts';
import { PomeloDialect } from '../dialect/pomelo.ts';
import type { Dialect } from '../dialect/wire.ts';
import { type PomeloProject, readPomeloProject } from '../config/pomelo-project.ts';

/** How the clients of one listener are spoken to, and which of them may come in. */
export type ListenerDialect = {
  readonly dialect: Dialect;
  readonly clientRules: readonly ClientRule[];
  /** A client without a key in its handshake is refused. */
  readonly needsKey: boolean;
};

const NO_PROJECT: PomeloProject = { dictionary: null, protos: null, warnings: [] };

/**
 * One for each listener.
 *
 * @throws {PomeloProjectError} when a project's files cannot be used.
 */
export function makeListenerDialects(
  config: Config,
  clock: Clock,
  warn: (text: string) => void,
): ListenerDialect[] {
  const projects = new Map<string, PomeloProject>();
  return config.listen.map((listen) => {
    const own = Object.fromEntries(
      Object.entries(listen.pomelo).filter(([, value]) => value !== undefined),
    );
    const pomelo = { ...config.pomelo, ...own };
    const key = `${pomelo.env}\n${pomelo.config_dir}`;
    let project = pomelo.config_dir === '' ? NO_PROJECT : projects.get(key);
    if (project === undefined) {
      project = readPomeloProject(pomelo.config_dir, pomelo.env);
      projects.set(key, project);
      for (const warning of project.warnings) warn(warning);
    }
    return {
      dialect: makeDialect({ config, listen, pomelo, project, clock }),
      clientRules: pomelo.client_types.map(parseClientRule),
      needsKey: listen.dialect === 'pomelo' && pomelo.use_crypto,
    };
  });
}

/** What the clients of each listener were told and have to go by: in two processes alike, or they cannot go on. */
export function makeListenerPrints(config: Config): string[] {
  return config.listen.map(
    ({ dialect, serializer, compress, answer_errors: answerErrors, ...listen }) => {
      const own = Object.entries(listen.pomelo).filter(([, value]) => value !== undefined);
      const {
        config_dir: folder,
        env,
        ...pomelo
      } = { ...config.pomelo, ...Object.fromEntries(own) };
      const { dictionary, protos } = folder === '' ? NO_PROJECT : readPomeloProject(folder, env);
      const versions = [dictionary?.version ?? '', protos?.version ?? ''];
      const { use_dict: usesDict, use_protobuf: usesProtos, use_crypto: signs } = pomelo;
      const { heartbeat } = config;
      return JSON.stringify([
        ...[dialect, serializer, compress, answerErrors, listen.profile, heartbeat],
        ...[versions, usesDict, usesProtos, signs],
      ]);
    },
  );
}

type DialectParts = {
  readonly config: Config;
  readonly listen: Config['listen'][number];
  readonly pomelo: Config['pomelo'];
  readonly project: PomeloProject;
  readonly clock: Clock;
};

function makeDialect({ config, listen, pomelo, project, clock }: DialectParts): Dialect {
  const heartbeatSeconds = config.heartbeat / 1_000;
  const { convert: convertBytesMax, json_depth: jsonDepthMax, packet } = config.limits;
  // Small values count as what they take once they are parsed, which may be kept as long as the session lasts.
  const handshakeBytesMax = Math.min(convertBytesMax, packet);
  const dictionary = pomelo.use_dict ? project.dictionary : null;
  switch (listen.dialect) {
    case 'pomelo':
      return new PomeloDialect({
        heartbeatSeconds,
        dictionary,
        protos: pomelo.use_protobuf ? project.protos : null,
        signatures: pomelo.use_crypto ? pomelo.on_bad_signature : null,
        profile: listen.profile,
        convertBytesMax,
        handshakeBytesMax,
        jsonDepthMax,
      });
    case 'pitaya': {
      const { serializer, compress } = listen;
      const inflateBytesMax = config.limits.inflate;
      return new PitayaDialect({
        heartbeatSeconds,
        dictionary,
        serializer,
        compress,
        inflateBytesMax,
        convertBytesMax,
        handshakeBytesMax,
        jsonDepthMax,
      });
    }
    case 'nano':
      return new NanoDialect({
        heartbeatSeconds,
        dictionary,
        answerErrors: listen.answer_errors,
        clock,
        convertBytesMax,
        handshakeBytesMax,
        jsonDepthMax,
      });
    case 'json':
      return new JsonDialect(handshakeBytesMax, jsonDepthMax);
  }
}
