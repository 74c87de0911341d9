/**
 * What the structural tests ask of source text, on the parser that vitest brings (oxc, by way of rolldown).
 */
import { parseSync, Visitor, type ESTree, type VisitorObject } from 'rolldown/utils';

/** One import: static, for its side effect, re-exported, dynamic, `import x = require()`, or in a type. */
export interface FoundImport {
  /** From 1. */
  line: number;
  /** Undefined where a dynamic import computes it. */
  name: string | undefined;
  /** Gone at run time: `import type`, `export type`, `import()` in a type. A `type` inside the braces is not. */
  isType: boolean;
}

/** All imports of `source`, in order. Throws what `walk` throws. */
export function findImports(file: string, source: string): FoundImport[] {
  const found: (FoundImport & { at: number })[] = [];
  const take = (node: ESTree.Span, from: ESTree.Node, isType: boolean): void => {
    found.push({ at: node.start, line: lineOf(source, node.start), name: textOf(from), isType });
  };
  walk(file, source, {
    ImportDeclaration: (node) => take(node, node.source, node.importKind === 'type'),
    ExportAllDeclaration: (node) => take(node, node.source, node.exportKind === 'type'),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) take(node, node.source, node.exportKind === 'type');
    },
    ImportExpression: (node) => take(node, node.source, false),
    TSImportType: (node) => take(node, node.source, true),
    TSExternalModuleReference: (node) => take(node, node.expression, false),
  });
  return found
    .sort((a, b) => a.at - b.at)
    .map(({ line, name, isType }) => ({ line, name, isType }));
}

/**
 * The interfaces and object types of `source` that have a member named `onSomething`, by name; one written in
 * place (`peer: { onGone(): void }`) is said by its file. Throws what `walk` throws.
 */
export function findCallbackTypes(file: string, source: string): string[] {
  const found: string[] = [];
  // To parse costs much, and most files have nothing like it.
  if (!/\bon[A-Z]/.test(source)) return found;
  const names: string[] = [];
  const isCallback = (member: ESTree.TSSignature): boolean =>
    (member.type === 'TSPropertySignature' || member.type === 'TSMethodSignature') &&
    member.key.type === 'Identifier' &&
    /^on[A-Z]/.test(member.key.name);
  walk(file, source, {
    TSInterfaceDeclaration: ({ id, body }) => {
      if (body.body.some(isCallback)) found.push(id.name);
    },
    TSTypeAliasDeclaration: ({ id }) => void names.push(id.name),
    'TSTypeAliasDeclaration:exit': () => void names.pop(),
    TSTypeLiteral: ({ members }) => {
      if (members.some(isCallback)) found.push(names.at(-1) ?? `in place: ${file}`);
    },
  });
  return found;
}

/** What `source` has beside functions that make something, which is all that a file of wiring/ may give away. */
export interface FoundBehaviour {
  /** From 1. */
  line: number;
  /** As `class Cache`, `export of describe`. */
  what: string;
}

/** Its classes, exported or not, and its exports that are neither types nor functions named `make…`. Throws what `walk` throws. */
export function findBehaviour(file: string, source: string): FoundBehaviour[] {
  const found: FoundBehaviour[] = [];
  const take = (node: ESTree.Span, what: string): void => {
    found.push({ line: lineOf(source, node.start), what });
  };
  const takeClass = (node: ESTree.Class): void => take(node, `class ${node.id?.name ?? ''}`.trim());
  walk(file, source, {
    ClassDeclaration: takeClass,
    ClassExpression: takeClass,
    ExportDefaultDeclaration: (node) => take(node, 'export by default'),
    ExportAllDeclaration: (node) => {
      if (node.exportKind !== 'type') take(node, 'export of all that another file has');
    },
    ExportNamedDeclaration: (node) => {
      const { declaration, specifiers } = node;
      if (node.exportKind === 'type' || declaration?.type === 'ClassDeclaration') return;
      const isMaker =
        declaration?.type === 'FunctionDeclaration' &&
        /^make[A-Z]/.test(declaration.id?.name ?? '');
      if (isMaker) return;
      const names =
        declaration === null
          ? specifiers.map(({ exported }) => nameOf(exported))
          : namesOf(declaration);
      take(node, `export of ${names.join(', ')}`);
    },
  });
  return found.sort((a, b) => a.line - b.line);
}

/** The time, a turn of the event loop, chance, or what the garbage collector has left, that `source` takes by itself. */
export interface FoundAmbient {
  /** From 1. */
  line: number;
  /** As `Date.now`, `setTimeout`, `randomBytes`, `socket.setTimeout`. */
  what: string;
}

const GLOBAL_OBJECT = /^global(?:This)?$/;
const AMBIENT_NAME =
  /^(?:set(?:Timeout|Interval|Immediate)|queueMicrotask|performance|crypto|monitorEventLoopDelay|WeakRef|FinalizationRegistry|system(?:Clock|Random))$/;
/** Of these objects only some members are; an object that is handed on, or asked for a computed name, may be any. */
const AMBIENT_MEMBERS: Readonly<Record<string, RegExp>> = {
  AbortSignal: /^timeout$/,
  Atomics: /^wait/,
  Date: /^now$/,
  Math: /^random$/,
  process: /^(?:hrtime|nextTick|uptime)$/,
};
const CHANCE_OF_CRYPTO = /^(?:random|pseudoRandom|prng|rng|getRandom|generate|subtle|webcrypto)/;

/**
 * All of it, in order. A member, a key and a type are not what they are named after; but a member `setTimeout` is, as
 * sockets have it. Throws what `walk` throws.
 */
export function findAmbient(file: string, source: string): FoundAmbient[] {
  const found: { at: number; what: string }[] = [];
  const names: { at: number; name: string }[] = [];
  /** Where those names begin that are looked at elsewhere, or stand for nothing. */
  const others = new Set<number>();
  const take = ({ start }: ESTree.Span, what: string): void => void found.push({ at: start, what });
  const skip = ({ start }: ESTree.Span): void => void others.add(start);
  const skipKey = (node: { computed: boolean; key: ESTree.Span }): void => {
    if (!node.computed) skip(node.key);
  };
  walk(file, source, {
    Identifier: ({ start, name }) => void names.push({ at: start, name }),
    MemberExpression: (node) => {
      const { object, computed, property } = node;
      if (!computed) skip(property);
      const name = computed ? textOf(property) : 'name' in property ? property.name : undefined;
      const of = globalName(object);
      if (name === undefined) return;
      if (of === null) {
        if (name === 'setTimeout') take(node, 'socket.setTimeout');
      } else if (GLOBAL_OBJECT.test(of)) {
        skip(object);
        if (AMBIENT_NAME.test(name)) take(node, name);
      } else if (Object.hasOwn(AMBIENT_MEMBERS, of)) {
        skip(object);
        if (AMBIENT_MEMBERS[of]!.test(name)) take(node, `${of}.${name}`);
      } else if (name === 'setTimeout') take(node, 'socket.setTimeout');
    },
    CallExpression: (node) => {
      if (globalName(node.callee) === 'Date') take(node, 'Date()');
    },
    NewExpression: (node) => {
      if (globalName(node.callee) !== 'Date') return;
      skip(node.callee);
      if (node.arguments.length === 0) take(node, 'new Date()');
    },
    BinaryExpression: ({ operator, right }) => {
      if (operator === 'instanceof') skip(right);
    },
    ImportDeclaration: ({ source: from, specifiers, importKind }) => {
      if (!/^(?:node:)?crypto$/.test(from.value) || importKind === 'type') return;
      for (const one of specifiers) {
        const name = one.type === 'ImportSpecifier' ? nameOf(one.imported) : 'crypto';
        if (name === 'crypto' || CHANCE_OF_CRYPTO.test(name)) take(one, name);
      }
    },
    Property: (node) => {
      if (!node.shorthand) skipKey(node);
    },
    PropertyDefinition: skipKey,
    MethodDefinition: skipKey,
    TSPropertySignature: skipKey,
    TSMethodSignature: skipKey,
    TSTypeReference: ({ typeName }) => skip(typeName),
  });
  for (const { at, name } of names) {
    const isOne =
      AMBIENT_NAME.test(name) || GLOBAL_OBJECT.test(name) || Object.hasOwn(AMBIENT_MEMBERS, name);
    if (isOne && !others.has(at)) found.push({ at, what: name });
  }
  return found
    .sort((a, b) => a.at - b.at)
    .map(({ at, what }) => ({ line: lineOf(source, at), what }));
}

/** `Date` of `Date` and of `globalThis.Date`; null: it is no name, or a member of something else. */
function globalName(node: ESTree.Node): string | null {
  if (node.type === 'Identifier') return node.name;
  if (node.type !== 'MemberExpression' || node.computed || node.object.type !== 'Identifier')
    return null;
  const isGlobal = GLOBAL_OBJECT.test(node.object.name) && node.property.type === 'Identifier';
  return isGlobal ? node.property.name : null;
}

function namesOf(declaration: ESTree.Declaration): string[] {
  if (declaration.type === 'VariableDeclaration')
    return declaration.declarations.map(({ id }) => (id.type === 'Identifier' ? id.name : '…'));
  return 'id' in declaration && declaration.id?.type === 'Identifier'
    ? [declaration.id.name]
    : ['…'];
}

function nameOf(name: ESTree.ModuleExportName): string {
  return name.type === 'Literal' ? name.value : name.name;
}

/** @throws {SyntaxError} where `source` is not TypeScript, or has JavaScript that `file`'s extension forbids. */
function walk(file: string, source: string, visitor: VisitorObject): void {
  const { program, errors } = parseSync(file, source);
  if (errors[0] !== undefined) throw new SyntaxError(`${file}: ${errors[0].message}`);
  new Visitor(visitor).visit(program);
}

/** The text of a string, or of a template without holes. */
function textOf(node: ESTree.Node): string | undefined {
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : undefined;
  if (node.type !== 'TemplateLiteral' || node.expressions.length > 0) return undefined;
  return node.quasis[0]?.value.cooked ?? undefined;
}

function lineOf(source: string, at: number): number {
  return source.slice(0, at).split('\n').length;
}
