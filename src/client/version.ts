/** The package's version, sent in the handshake. A test compares it with package.json. */
export const CLIENT_VERSION = '0.1.0';
