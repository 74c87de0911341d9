/** Every command, as its --help prints it. */
import { fenced, heading, page, WRITTEN } from './markdown.ts';

export type CommandHelp = { readonly name: string; readonly help: string };

export function commandsPage(commands: readonly CommandHelp[]): string {
  return page(
    WRITTEN,
    heading(1, 'Commands'),
    'What `pith help` prints, and `pith help COMMAND`.',
    ...commands.flatMap(({ name, help }) => [heading(2, name), fenced(help)]),
  );
}
