/** Messages of the contract as tables, and the fields' types in words. */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';

import { commentOf } from './comments.ts';
import { anchor, code, heading, prose, table } from './markdown.ts';

const OF_GOOGLE = 'google.protobuf.';

/** These messages and all that they are made of, each once, without those of Google. */
export function closureOf(messages: readonly DescMessage[]): DescMessage[] {
  const found = new Set<DescMessage>();
  const add = (message: DescMessage | undefined): void => {
    if (message === undefined || isOfGoogle(message) || found.has(message)) return;
    found.add(message);
    for (const field of message.fields) add(messageOf(field));
  };
  for (const message of messages) add(message);
  return [...found];
}

export function isOfGoogle({ typeName }: DescMessage): boolean {
  return typeName.startsWith(OF_GOOGLE);
}

/** Without its package: `Push`, `GetPresenceResponse.Entry`. */
export function shortName({ typeName, file }: DescMessage): string {
  return typeName.slice(file.proto.package.length + 1);
}

/** A heading, the comment, and a row for each field. */
export function messagePart(message: DescMessage, level: number): string[] {
  const comment = commentOf(message);
  const head = [heading(level, shortName(message)), ...(comment === '' ? [] : [prose(comment)])];
  if (message.fields.length === 0) return head;
  const rows = message.fields.map((field) => [
    code(field.name),
    typeText(field),
    prose([commentOf(field), oneofText(field)].filter((text) => text !== '').join(' ')),
  ]);
  return [...head, table(['field', 'type', ''], rows)];
}

function oneofText({ oneof }: DescField): string {
  return oneof === undefined
    ? ''
    : `At most one of ${oneof.fields.map(({ name }) => name).join(', ')}.`;
}

function typeText(field: DescField): string {
  switch (field.fieldKind) {
    case 'list':
      return `list of ${elementText(field)}`;
    case 'map':
      return `map of ${elementText(field)}`;
    default:
      return elementText(field);
  }
}

function elementText(field: DescField): string {
  const message = messageOf(field);
  if (message !== undefined)
    return isOfGoogle(message)
      ? message.typeName.slice(OF_GOOGLE.length)
      : `[${shortName(message)}](#${anchor(shortName(message))})`;
  if (field.enum !== undefined) return field.enum.values.map(({ name }) => code(name)).join(', ');
  return ScalarType[field.scalar!].toLowerCase();
}

/** The message that it holds, alone, in a list or in a map. */
export function messageOf(field: DescField): DescMessage | undefined {
  return field.message;
}
