/** Looks at the files that a configuration points to, before anything is started. */
import { systemClock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { makeSpeeches } from './dialects.ts';
import { PomeloProjectError } from './pomelo-project.ts';

export type FileFindings = {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
};

/** What is wrong with them, a line each, which names the file; and what may not be meant. */
export function checkFiles(config: Config): FileFindings {
  const warnings: string[] = [];
  try {
    makeSpeeches(config, systemClock, (text) => warnings.push(text));
    return { problems: [], warnings };
  } catch (error) {
    if (!(error instanceof PomeloProjectError)) throw error;
    return { problems: error.message.split('\n'), warnings };
  }
}
