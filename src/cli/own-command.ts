/** How the reader starts this program, for the commands that it prints. */

export function ownCommand(env: Readonly<Record<string, string | undefined>>): string {
  // [npm-exec] npm tells a program which of its commands has started it.
  if (env['npm_command'] === 'exec') return 'npx pith';
  // In a clone it runs from source; what is installed is compiled.
  return import.meta.url.endsWith('.ts') ? 'npm run -s pith --' : 'pith';
}
