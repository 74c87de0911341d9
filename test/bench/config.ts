/** The gateway's configuration for a measurement: the defaults, but for limits that a load would hit. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export async function writeConfig(
  name: string,
  settings: { backend: string; bus?: string },
): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), 'pith-bench-')), `${name}.yaml`);
  await writeFile(
    file,
    `listen: [{ url: "ws://127.0.0.1:0" }, { url: "tcp://127.0.0.1:0" }]
health: { listen: 127.0.0.1:0 }
control: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
${settings.bus === undefined ? '' : `bus: ${settings.bus}`}
backends: { echo: ${settings.backend} }
routes: [{ match: "area.>", backend: echo }]
limits: { messages_per_second: 1000000, burst: 1000000, accepts_per_second: 100000 }
log: { level: info }
`,
  );
  return file;
}
