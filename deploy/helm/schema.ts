/** Writes the part of values.schema.json that is the gateway's own: `config`, from the configuration's schema. */
import { readFileSync, writeFileSync } from 'node:fs';

import { configJsonSchema } from '../../src/config/json-schema.ts';

const file = new URL('pith/values.schema.json', import.meta.url);
const values = JSON.parse(readFileSync(file, 'utf8')) as { properties: Record<string, unknown> };
const { $schema: _schema, title: _title, ...config } = configJsonSchema();
values.properties['config'] = {
  ...config,
  description: 'The content of pith.yaml. Generated from the gateway: run make manifests.',
};
writeFileSync(file, `${JSON.stringify(values, null, 2)}\n`);
