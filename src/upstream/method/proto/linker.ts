/**
 * Finds what the type names in descriptors mean, as protoc does it: from the innermost scope outwards, among what
 * the file itself and its imports define.
 */
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Type as Type,
  type FileDescriptorProto,
} from '@bufbuild/protobuf/wkt';

import { jsonNameOf } from './messages.ts';

/** Kinds of fields whose type has a name. */
const NAMED: ReadonlySet<Type> = new Set([Type.MESSAGE, Type.GROUP, Type.ENUM]);

type Symbol = { readonly kind: 'message' | 'enum'; readonly file: string };

export class Linker {
  readonly #files = new Map<string, FileDescriptorProto>();
  readonly #symbols = new Map<string, Symbol>();
  readonly #visible = new Map<string, ReadonlySet<string>>();

  /** A file that others may import. @returns The name of a type that another file defines too; '' for none. */
  add(file: FileDescriptorProto): string {
    const names = new Map<string, Symbol>();
    collect(file, names);
    for (const name of names.keys()) if (this.#symbols.has(name)) return name;
    for (const [name, symbol] of names) this.#symbols.set(name, symbol);
    this.#files.set(file.name, file);
    return '';
  }

  has(file: string): boolean {
    return this.#files.has(file);
  }

  fileOf(type: string): string | undefined {
    return this.#symbols.get(type)?.file;
  }

  /** Resolves the names in `file`, in place. @returns What is wrong, one text for each name; none: it is linked. */
  link(file: FileDescriptorProto): string[] {
    const problems: string[] = [];
    const report = (where: string, name: string): void => {
      problems.push(`${where}: no type ${name}${this.#hint(file, name)}`);
    };
    const resolve = (scope: string, name: string, where: string): string => {
      const found = this.#resolve(scope, name, this.#visibleTo(file));
      if (found !== null) return `.${found}`;
      report(where, name);
      return name;
    };
    const linkField = (scope: string, field: FieldDescriptorProto): void => {
      const where = joined(scope, field.name);
      field.jsonName ||= jsonNameOf(field.name);
      if (field.extendee !== '') field.extendee = resolve(scope, field.extendee, where);
      if (field.typeName === '') return;
      field.typeName = resolve(scope, field.typeName, where);
      // The parser could not know.
      if (!NAMED.has(field.type)) field.type = this.#typeOf(field.typeName);
    };
    const linkMessage = (scope: string, message: DescriptorProto): void => {
      const name = joined(scope, message.name);
      for (const field of message.field) linkField(name, field);
      for (const field of message.extension) linkField(name, field);
      for (const nested of message.nestedType) linkMessage(name, nested);
    };
    for (const message of file.messageType) linkMessage(file.package, message);
    for (const field of file.extension) linkField(file.package, field);
    for (const service of file.service) {
      const scope = joined(file.package, service.name);
      for (const method of service.method) {
        const where = `${scope}.${method.name}`;
        method.inputType = resolve(scope, method.inputType, where);
        method.outputType = resolve(scope, method.outputType, where);
      }
    }
    // What is not there is not needed, or there is a problem.
    dropImports(file, (name) => this.#files.has(name));
    return problems;
  }

  #typeOf(name: string): Type {
    return this.#symbols.get(name.slice(1))?.kind === 'enum' ? Type.ENUM : Type.MESSAGE;
  }

  #resolve(scope: string, name: string, visible: ReadonlySet<string>): string | null {
    const isSeen = (full: string): boolean => visible.has(this.#symbols.get(full)?.file ?? '');
    if (name.startsWith('.')) return isSeen(name.slice(1)) ? name.slice(1) : null;
    for (let outer = scope; ; outer = outer.slice(0, Math.max(0, outer.lastIndexOf('.')))) {
      const full = joined(outer, name);
      if (isSeen(full)) return full;
      if (outer === '') return null;
    }
  }

  /** The names of the files whose types `file` may use: its own, its imports, and what these import publicly. */
  #visibleTo(file: FileDescriptorProto): ReadonlySet<string> {
    const known = this.#visible.get(file.name);
    if (known !== undefined) return known;
    const visible = new Set([file.name]);
    const open = [...file.dependency];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (visible.has(name)) continue;
      visible.add(name);
      const imported = this.#files.get(name);
      for (const at of imported?.publicDependency ?? []) open.push(imported!.dependency[at]!);
    }
    this.#visible.set(file.name, visible);
    return visible;
  }

  #hint(file: FileDescriptorProto, name: string): string {
    const lacking = file.dependency.filter((one) => !this.#files.has(one));
    if (lacking.length > 0)
      return `; ${file.name} imports ${lacking.join(' and ')}, lacking: ${ADVICE}`;
    const short = name.slice(name.lastIndexOf('.') + 1);
    for (const [full, symbol] of this.#symbols)
      if (full.endsWith(`.${short}`))
        return `; ${full} is in ${symbol.file}${this.#visibleTo(file).has(symbol.file) ? '' : `, which ${file.name} does not import`}`;
    return '';
  }
}

const ADVICE = 'add it, or make the set with its imports (protoc --include_imports, buf build)';

/** Leaves out the imports that `keep` refuses. */
function dropImports(file: FileDescriptorProto, keep: (name: string) => boolean): void {
  const isPublic = new Set(file.publicDependency.map((at) => file.dependency[at]!));
  file.dependency = file.dependency.filter(keep);
  file.publicDependency = [];
  for (const [at, name] of file.dependency.entries())
    if (isPublic.has(name)) file.publicDependency.push(at);
  file.weakDependency = [];
}

function collect(file: FileDescriptorProto, into: Map<string, Symbol>): void {
  const take = (scope: string, message: DescriptorProto): void => {
    const name = joined(scope, message.name);
    into.set(name, { kind: 'message', file: file.name });
    for (const one of message.enumType)
      into.set(joined(name, one.name), { kind: 'enum', file: file.name });
    for (const nested of message.nestedType) take(name, nested);
  };
  for (const message of file.messageType) take(file.package, message);
  for (const one of file.enumType)
    into.set(joined(file.package, one.name), { kind: 'enum', file: file.name });
}

function joined(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`;
}
