/** Looks at the files that a configuration points to, before anything is started. */
import { systemClock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { backendsOf } from '../config/schema-routes.ts';
import { faultIn } from '../transport/certificate.ts';
import { makeSpeeches } from './dialects.ts';
import { PomeloProjectError } from './pomelo-project.ts';
import { listenerOptions } from './settings.ts';

export type FileFindings = {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
};

/** What is wrong with them, a line each, which names the file; and what may not be meant. */
export async function checkFiles(config: Config): Promise<FileFindings> {
  const warnings: string[] = [];
  const problems = config.listen.flatMap((listen) => {
    const { tls } = listenerOptions(config, listen);
    return (tls === null ? null : faultIn(tls)) ?? [];
  });
  try {
    makeSpeeches(config, systemClock, (text) => warnings.push(text));
  } catch (error) {
    if (!(error instanceof PomeloProjectError)) throw error;
    problems.push(...error.message.split('\n'));
  }
  for (const [name, backend] of Object.entries(config.backends)) {
    if (backend.kind !== 'grpc' || backend.mode !== 'method') continue;
    // Loaded where it is needed: it brings a protobuf library.
    const { checkSchema } = await import('../upstream/method/schema-check.ts');
    const routes = config.routes.filter((route) =>
      backendsOf(route).some((share) => share.backend === name),
    );
    const found = await checkSchema({ ...backend, methods: routes.map(({ method }) => method) });
    problems.push(...found.map((problem) => `backends.${name}: ${problem}`));
  }
  return { problems, warnings };
}
