/** Every method of Control, and its messages. */
import type { DescMethod, DescService } from '@bufbuild/protobuf';

import { ruleOf } from '../control/roles.ts';
import { commentOf } from './comments.ts';
import { anchor, code, heading, page, prose, table, WRITTEN } from './markdown.ts';
import { closureOf, messagePart, shortName } from './messages.ts';

export function controlPage(control: DescService): string {
  const messages = closureOf(control.methods.flatMap(({ input, output }) => [input, output]));
  return page(
    WRITTEN,
    heading(1, 'Control'),
    prose(commentOf(control)),
    'Over gRPC on `control.listen` as `pith.v1.Control/<Method>`, and over HTTP on `admin.listen` as `POST /v1/<Method>` ' +
      '([openapi.json](openapi.json)): JSON with the names of the fields below. A Duration is a text as `1.5s`, a ' +
      'Timestamp one as `2026-01-31T12:00:00Z`, a 64-bit number a text of its digits. A list of many is one answer a line.',
    'Role: what a token of `control.tokens` or `admin.tokens` must have, where there are any; `write` includes `read`. ' +
      'Audited: what of it is in the audit log: each call; counted: the first calls of each caller, and the number of the ' +
      'others; routine: each call, but counted over NATS.',
    table(['method', 'takes', 'answers', 'role', 'audited', ''], control.methods.map(methodRow)),
    heading(2, 'Messages'),
    ...messages.flatMap((message) => messagePart(message, 3)),
  );
}

function methodRow(method: DescMethod): string[] {
  const { name, input, output, methodKind } = method;
  const { role, audited } = ruleOf(name);
  const many = (is: boolean): string => (is ? 'many ' : '');
  return [
    code(name),
    `${many(methodKind === 'client_streaming')}${link(shortName(input))}`,
    `${many(methodKind === 'server_streaming')}${link(shortName(output))}`,
    role,
    audited === 'none' ? '' : audited,
    prose(commentOf(method)),
  ];
}

function link(name: string): string {
  return `[${name}](#${anchor(name)})`;
}
