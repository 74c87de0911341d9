/**
 * `node:http`, without what an `import` of it would load. An import reads every export at once, also those that Node
 * makes when they are first read: its WebSocket client, with undici, HTTP/2 and web streams, 12 MB in all.
 */
import { createRequire } from 'node:module';

export const http = createRequire(import.meta.url)('node:http') as typeof import('node:http');
