/** The configuration as YAML for people: units written out, secrets covered. */
import { stringify } from 'yaml';
import { z } from 'zod';
import { type Config, configSchema } from './schema.ts';
import { inspect, optionsOf } from './schema-tree.ts';
import { isMap } from './tree.ts';
import { formatDuration, formatSize } from './units.ts';

/** What stands for a secret that is set. */
export const MASKED_SECRET = '***';

/**
 * Writes a configuration as YAML that `loadConfig` reads again, with every token, password, credential and
 * key covered; an empty one stays empty. So are headers and metadata whose names sound like one.
 */
export function maskSecrets(config: Config): string {
  return stringify(written(configSchema, config), { lineWidth: 0 });
}

/** The way back from parsed values to what is written in YAML. */
function written(schema: z.core.$ZodType, value: unknown): unknown {
  const { inner, unit, isSecret } = inspect(schema);
  if (isSecret) return Array.isArray(value) ? value.map((item) => cover(item)) : cover(value);
  if (unit !== undefined && typeof value === 'number') {
    return unit === 'duration' ? formatDuration(value) : formatSize(value);
  }
  if (Array.isArray(value)) {
    const list = optionsOf(inner).find((option) => option instanceof z.ZodArray);
    return value.map((item) => (list === undefined ? item : written(list.element, item)));
  }
  // So that it is read back as it is, and not as a reference.
  if (typeof value === 'string') return value.replaceAll('${', () => '$${');
  if (!isMap(value)) return value;
  const option = optionsOf(inner).find((candidate) => takes(candidate, value));
  const entries = Object.entries(value).flatMap(([key, item]) => {
    if (item === undefined) return [];
    if (option instanceof z.ZodObject) {
      const shape = option.shape[key] as z.core.$ZodType | undefined;
      // `kind` of a backend is ours, not the file's.
      return shape === undefined ? [] : [[key, written(shape, item)] as const];
    }
    if (!(option instanceof z.ZodRecord)) return [[key, item] as const];
    const isText = optionsOf(option.valueType).some((leaf) => leaf instanceof z.ZodString);
    if (isText && soundsSecret(key)) return [[key, cover(item)] as const];
    return [[key, written(option.valueType, item)] as const];
  });
  return Object.fromEntries(entries);
}

function takes(option: z.core.$ZodType, value: Record<string, unknown>): boolean {
  if (option instanceof z.ZodRecord) return true;
  if (!(option instanceof z.ZodObject)) return false;
  return Object.keys(value).every((key) => key === 'kind' || Object.hasOwn(option.shape, key));
}

function cover(value: unknown): unknown {
  return value === '' ? '' : MASKED_SECRET;
}

function soundsSecret(name: string): boolean {
  return /auth|token|secret|key|password|passwd|cookie|credential/i.test(name);
}
