/** Frames of pith.v1 as a backend writes them. */
import { backendService } from '../support/grpc-shapes.ts';

export type Fields = Record<string, unknown>;

/** ToGateway. */
export const linkBytes = backendService['Link']!.responseSerialize as (fields: unknown) => Buffer;
export const replyBytes = backendService['Handle']!.responseSerialize as (
  fields: unknown,
) => Buffer;
export const connectBytes = backendService['Connect']!.responseSerialize as (
  fields: unknown,
) => Buffer;

/** A flat object as google.protobuf.Struct. */
export function structOf(fields: Fields): Fields {
  const value = (one: unknown): Fields =>
    typeof one === 'number' ? { numberValue: one } : { stringValue: String(one) };
  return { fields: Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, value(v)])) };
}

/** A frame of plain JSON with the session data in its patch as a Struct. */
export function dialed(frame: Fields): Fields {
  const verb = frame['verb'] as Fields | undefined;
  const set = (verb?.['patch'] as Fields | undefined)?.['set'] as Fields | undefined;
  if (set === undefined) return frame;
  return { ...frame, verb: { ...verb, patch: { set: structOf(set) } } };
}
