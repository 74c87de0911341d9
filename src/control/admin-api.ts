/** Control's methods over HTTP, as the admin port has them. */
import type { Access } from './access.ts';
import { contractFiles } from './contract-files.ts';
import { JsonApi } from './json-api.ts';
import { CONTROL, controlMethods, type ControlParts } from './service.ts';

export type AdminApiParts = ControlParts & {
  /** Who may call. */
  readonly access: Access;
  /** `admin.hosts`. */
  readonly hosts: readonly string[];
};

export function makeAdminApi(parts: AdminApiParts): JsonApi {
  const { methods } = contractFiles().getService(CONTROL)!;
  return new JsonApi({
    ...parts,
    methods: controlMethods(parts),
    service: CONTROL,
    definitions: Object.fromEntries(methods.map((method) => [method.name, method])),
  });
}
