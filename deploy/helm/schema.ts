/** Writes the parts of values.schema.json that are the gateway's own: `config` and `live`, from the configuration's schema. */
import { readFileSync, writeFileSync } from 'node:fs';

import { RELOADED_KEYS } from '../../src/config/changes.ts';
import { configJsonSchema } from '../../src/config/json-schema.ts';

const file = new URL('pith/values.schema.json', import.meta.url);
const values = JSON.parse(readFileSync(file, 'utf8')) as { properties: Record<string, unknown> };
const { $schema: _schema, title: _title, ...config } = configJsonSchema();
values.properties['config'] = {
  ...config,
  description: 'The content of pith.yaml. Generated from the gateway: run make manifests.',
};
values.properties['live'] = {
  ...only(config as Schema, RELOADED_KEYS),
  description: 'What a running gateway follows. Generated from the gateway: run make manifests.',
};
writeFileSync(file, `${JSON.stringify(values, null, 2)}\n`);

type Schema = { readonly properties?: Readonly<Record<string, Schema>> };

/** The same without other keys. */
function only({ properties = {}, ...schema }: Schema, keys: readonly string[]): Schema {
  const kept = Object.entries(properties).flatMap(([name, one]): [string, Schema][] => {
    if (keys.includes(name)) return [[name, one]];
    const below = keys.flatMap((key) =>
      key.startsWith(`${name}.`) ? [key.slice(name.length + 1)] : [],
    );
    return below.length === 0 ? [] : [[name, only(one, below)]];
  });
  return { ...schema, properties: Object.fromEntries(kept) };
}
