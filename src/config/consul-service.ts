/** The address of a backend that Consul knows: consul:///service?tag=…&dc=…. */

/** A service as it is asked for. */
export type ConsulService = {
  name: string;
  /** Instances must have all of them. */
  tags: string[];
  /** Data centre; empty: the agent's own. */
  dc: string;
};

const EXPECTED = 'expected consul:///service, with ?tag=… and &dc=… if you like';

/** True for an address that `parseConsulService` should read. */
export function isConsulService(text: string): boolean {
  return text.startsWith('consul:');
}

/** Reads `consul:///chat?tag=blue&dc=dc1`; throws a RangeError that says what to write. */
export function parseConsulService(text: string): ConsulService {
  const [, name, query = ''] = /^consul:\/\/\/([^/?#]*)(?:\?([^#]*))?$/.exec(text) ?? [];
  if (name === undefined) throw new RangeError(EXPECTED);
  if (!/^[A-Za-z0-9_.-]{1,127}$/.test(name)) {
    throw new RangeError("a service's name is 1 to 127 of A-Z a-z 0-9 _ . -");
  }
  const given = new URLSearchParams(query);
  const unknown = [...given.keys()].find((key) => key !== 'tag' && key !== 'dc');
  if (unknown !== undefined) throw new RangeError(`unknown "${unknown}"; tag and dc are known`);
  const tags = given.getAll('tag');
  const dcs = given.getAll('dc');
  if (dcs.length > 1) throw new RangeError('dc may be given only once');
  if ([...tags, ...dcs].includes('')) throw new RangeError('tag and dc must not be empty');
  return { name, tags, dc: dcs[0] ?? '' };
}
