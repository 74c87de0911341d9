/** Messages of the contract, made of JSON by a general library: for what is seldom asked. */
import { fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';

import { contractFiles } from './contract-files.ts';

/** A message of the contract from its JSON; null: it is not one. Fields that are not known are ignored. */
export function messageFrom(type: string, json: object): Buffer | null {
  const registry = contractFiles();
  const schema = registry.getMessage(`pith.v1.${type}`)!;
  try {
    const message = fromJson(schema, json as JsonValue, { registry, ignoreUnknownFields: true });
    return Buffer.from(toBinary(schema, message));
  } catch {
    return null;
  }
}
