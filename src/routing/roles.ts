/** `routes[].roles`: who may use a route, by the key `roles` of the session's data. Pure. */

/** The key of a session's data: an array of strings. */
export const ROLES_KEY = 'roles';

/** True if the rule names no role, or the session has one of those that it names. */
export function mayUse(
  roles: readonly string[],
  data: { readonly [key: string]: unknown },
): boolean {
  if (roles.length === 0) return true;
  const own = Object.hasOwn(data, ROLES_KEY) ? data[ROLES_KEY] : undefined;
  return Array.isArray(own) && own.some((role) => roles.includes(role as string));
}
