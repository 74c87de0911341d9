/** Puts nats-server, grpcurl and the like, as test/tools/install.sh installs them, before any that the machine has. */
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

export function putToolsOnPath(): void {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const tools = process.env['TEST_TOOLS_DIR'] || join(cache, 'pith', 'bin');
  process.env['PATH'] = `${tools}${delimiter}${process.env['PATH'] ?? ''}`;
}
