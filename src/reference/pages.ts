/** All pages of the reference, made from the tables and descriptors that the gateway itself runs on. */
import type { FileRegistry } from '@bufbuild/protobuf';

import { contractFilesWithComments } from '../control/contract-files.ts';
import { type CommandHelp, commandsPage } from './commands-page.ts';
import { configurationPage } from './configuration-page.ts';
import { controlPage } from './control-page.ts';
import { errorsPage } from './errors-page.ts';
import { eventsPage } from './events-page.ts';
import { llmsText } from './llms.ts';
import { heading, page, WRITTEN } from './markdown.ts';
import { metricsPage } from './metrics-page.ts';
import { openApiText } from './openapi.ts';

/** The text of each page, by the name of its file. */
export type Pages = Readonly<Record<string, string>>;

const TITLES = [
  ['configuration.md', 'Configuration: every key, its default and what it is for'],
  ['commands.md', 'Commands: every command and its options'],
  ['metrics.md', 'Metrics: every metric of /metrics'],
  ['errors.md', 'Errors and close reasons: what clients are told, and why sessions end'],
  ['control.md', 'Control: every method and message of the API for operators'],
  ['openapi.json', 'Control over HTTP as OpenAPI 3.1'],
  ['events.md', 'Events: what gateways publish on the bus'],
] as const;

/** @param commands What `pith help` says of each. */
export function referencePages(commands: readonly CommandHelp[]): Pages {
  const files = contractFilesWithComments();
  const control = files.getService('pith.v1.Control')!;
  return {
    'README.md': indexPage(),
    'configuration.md': configurationPage(),
    'commands.md': commandsPage(commands),
    'metrics.md': metricsPage(),
    'errors.md': errorsPage(),
    'control.md': controlPage(control),
    'openapi.json': openApiText(control),
    'events.md': eventsOf(files),
    'llms.txt': llmsText(TITLES),
  };
}

function eventsOf(files: FileRegistry): string {
  return eventsPage(
    files.getFile('pith/v1/event.proto')!,
    files.getMessage('pith.v1.ClosedEvent')!,
  );
}

function indexPage(): string {
  return page(
    WRITTEN,
    heading(1, 'Reference'),
    'Made from what the gateway itself runs on, by `pith docs`.',
    TITLES.map(([file, title]) => `- [${title}](${file})`).join('\n'),
    'For language models: [llms.txt](llms.txt).',
  );
}
