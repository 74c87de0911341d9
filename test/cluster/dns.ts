/**
 * The cluster's DNS: a Service's name is the addresses of its ready pods, with or without a cluster IP, since no proxy
 * runs here; and a pod of a headless one has its own name. Knows A records, in the domain cluster.local.
 * Runs inside the cluster's network:   node dns.ts ADDRESS
 */
import { createSocket } from 'node:dgram';

import { apiGet, type EndpointSlice } from './api.ts';

const [address] = process.argv.slice(2) as [string];
const HEADER = 12;
const [A, IN] = [1, 1];
const NO_SUCH_NAME = 3;
const TTL_S = 1;

const socket = createSocket('udp4');
socket.on('message', (query, { address: to, port }) => {
  answerTo(query).then(
    (answer) => {
      socket.send(answer, port, to);
    },
    (error: unknown) => {
      console.error(error);
    },
  );
});
socket.bind(53, address, () => {
  console.log('dns: ready');
});

async function answerTo(query: Buffer): Promise<Buffer> {
  const { name, end, type } = questionOf(query);
  const found = await addressesOf(name);
  const addresses = type === A ? (found ?? []) : [];
  const answer = Buffer.alloc(end + addresses.length * 16);
  query.copy(answer, 0, 0, end);
  // An authoritative answer; recursion is asked for and not available.
  answer.writeUInt16BE(0x8500 | (found === undefined ? NO_SUCH_NAME : 0), 2);
  answer.writeUInt16BE(addresses.length, 6);
  answer.writeUInt32BE(0, 8);
  addresses.forEach((text, i) => {
    const at = end + i * 16;
    answer.writeUInt16BE(0xc000 | HEADER, at);
    answer.writeUInt16BE(A, at + 2);
    answer.writeUInt16BE(IN, at + 4);
    answer.writeUInt32BE(TTL_S, at + 6);
    answer.writeUInt16BE(4, at + 10);
    Buffer.from(text.split('.').map(Number)).copy(answer, at + 12);
  });
  return answer;
}

function questionOf(query: Buffer): { name: string; end: number; type: number } {
  const labels: string[] = [];
  let at = HEADER;
  while (query[at]! > 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
    at += 1 + query[at]!;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 5, type: query.readUInt16BE(at + 1) };
}

/** undefined: there is no such name. */
async function addressesOf(name: string): Promise<string[] | undefined> {
  const parts = /^(?:([^.]+)\.)?([^.]+)\.([^.]+)\.svc\.cluster\.local$/.exec(name);
  if (parts === null) return undefined;
  const [, hostname, service, namespace] = parts;
  const { items } = await apiGet<{ items: EndpointSlice[] }>(
    `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices` +
      `?labelSelector=kubernetes.io%2Fservice-name%3D${service}`,
  );
  if (items.length === 0) return undefined;
  const endpoints = items
    .flatMap((slice) => slice.endpoints ?? [])
    .filter(({ conditions }) => conditions.ready)
    .filter((endpoint) => hostname === undefined || endpoint.hostname === hostname);
  if (hostname !== undefined && endpoints.length === 0) return undefined;
  return endpoints.map(({ addresses }) => addresses[0]!);
}
