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
