/** Of the package; said in the handshake. A test holds it to package.json. */
export const CLIENT_VERSION = '0.1.0';
