/**
 * `POST /v1/<Method>` as an OpenAPI document. [spec.openapis.org/oas/v3.1.1] The messages are in the JSON mapping of
 * protobuf, as the gateway writes it: names of the .proto, 64-bit numbers as text. [protobuf.dev/programming-guides/json]
 */
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  ScalarType,
} from '@bufbuild/protobuf';

import { ruleOf } from '../control/roles.ts';
import { commentOf } from './comments.ts';
import { closureOf, isOfGoogle, messageOf, shortName } from './messages.ts';

type Schema = Readonly<Record<string, unknown>>;

const JSON_TYPE = 'application/json';
const LINES_TYPE = 'application/x-ndjson';

/** Google's messages that have a form of their own in JSON. */
const GOOGLE: Readonly<Record<string, Schema>> = {
  'google.protobuf.Duration': {
    type: 'string',
    pattern: '^-?[0-9]+(\\.[0-9]{1,9})?s$',
    examples: ['1.5s'],
  },
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Struct': { type: 'object', additionalProperties: true },
  'google.protobuf.Value': {},
  'google.protobuf.ListValue': { type: 'array', items: {} },
};

/** The document as JSON text. @param control The service. */
export function openApiText(control: DescService): string {
  return `${JSON.stringify(openApi(control), null, 2)}\n`;
}

function openApi(control: DescService): object {
  const messages = closureOf(control.methods.flatMap(({ input, output }) => [input, output]));
  return {
    openapi: '3.1.1',
    info: {
      title: "Pith's Control over HTTP",
      version: 'v1',
      description: commentOf(control),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:7071', description: '`admin.listen` of a gateway' }],
    // Without tokens in the configuration whoever reaches the port may call.
    security: [{}, { token: [] }],
    paths: Object.fromEntries(
      control.methods.map((method) => [`/v1/${method.name}`, { post: operation(method) }]),
    ),
    components: {
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: '`admin.token` or one of `admin.tokens`',
        },
      },
      responses: {
        Error: {
          description: 'It failed; the status is the code of the error.',
          content: { [JSON_TYPE]: { schema: { $ref: '#/components/schemas/Failure' } } },
        },
      },
      schemas: {
        Failure: FAILURE,
        ...Object.fromEntries(messages.map((message) => [shortName(message), schemaOf(message)])),
      },
    },
  };
}

/** As every failed call answers. */
const FAILURE: Schema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'reason', 'msg'],
      properties: {
        code: { type: 'integer', description: 'The status of the answer.' },
        reason: { type: 'string', description: 'UPPER_SNAKE, as BAD_ARGUMENT.' },
        msg: { type: 'string' },
      },
    },
  },
};

function operation(method: DescMethod): Schema {
  const { name, input, output, methodKind } = method;
  const comment = commentOf(method);
  const takesMany = methodKind === 'client_streaming';
  const givesMany = methodKind === 'server_streaming';
  return {
    operationId: name,
    summary: comment.split(/(?<=\.) /, 1)[0],
    description: comment,
    'x-pith-role': ruleOf(name).role,
    requestBody: {
      description: takesMany
        ? 'One message a line.'
        : 'Nothing stands for a message without fields.',
      required: takesMany,
      content: bodyOf(input, takesMany),
    },
    responses: {
      '200': {
        description: givesMany ? 'One message a line, as they come.' : 'What came of it.',
        content: bodyOf(output, givesMany),
      },
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

/** Where there is one on each line, the schema is that of a line. */
function bodyOf(message: DescMessage, isMany: boolean): Schema {
  return { [isMany ? LINES_TYPE : JSON_TYPE]: { schema: reference(message) } };
}

function reference(message: DescMessage): Schema {
  return { $ref: `#/components/schemas/${shortName(message)}` };
}

function schemaOf(message: DescMessage): Schema {
  const oneofs = message.oneofs.filter(({ fields }) => fields.length > 1);
  return {
    type: 'object',
    ...described(commentOf(message)),
    properties: Object.fromEntries(message.fields.map((field) => [field.name, fieldSchema(field)])),
    ...(oneofs.length > 0 && { allOf: oneofs.map(({ fields }) => atMostOne(fields)) }),
  };
}

/** Of the fields of a oneof. */
function atMostOne(fields: readonly DescField[]): Schema {
  const pairs = fields.flatMap(({ name }, i) =>
    fields.slice(i + 1).map((other) => ({ required: [name, other.name] })),
  );
  return { not: { anyOf: pairs } };
}

function fieldSchema(field: DescField): Schema {
  const one = elementSchema(field);
  const schema =
    field.fieldKind === 'list'
      ? { type: 'array', items: one }
      : field.fieldKind === 'map'
        ? { type: 'object', additionalProperties: one }
        : one;
  return { ...schema, ...described(commentOf(field)) };
}

function elementSchema(field: DescField): Schema {
  const message = messageOf(field);
  if (message !== undefined)
    return isOfGoogle(message) ? (GOOGLE[message.typeName] ?? {}) : reference(message);
  if (field.enum !== undefined)
    return { type: 'string', enum: field.enum.values.map(({ name }) => name) };
  return scalarSchema(field.scalar!);
}

function scalarSchema(scalar: ScalarType): Schema {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: 'string' };
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64' };
    case ScalarType.BOOL:
      return { type: 'boolean' };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: 'number' };
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: 'integer', minimum: 0, maximum: 0xffff_ffff };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: 'integer', minimum: -0x8000_0000, maximum: 0x7fff_ffff };
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return { type: 'string', format: 'uint64', pattern: '^[0-9]{1,20}$' };
    default:
      return { type: 'string', format: 'int64', pattern: '^-?[0-9]{1,19}$' };
  }
}

function described(comment: string): Schema {
  return comment === '' ? {} : { description: comment };
}
