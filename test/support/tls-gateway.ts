/** Gateways with a certificate. */
import { startGateway, type TestGateway } from './gateway.ts';

/** A route whose answer is fixed, `echo.>`. */
export const ECHO = `
backends: { echo: { reply: { code: 200 } } }
routes: [{ match: "echo.>", backend: echo }]
`;

/** A gateway that shows the certificate of a folder. `more`: further keys of `tls`; `rest`: of the configuration. */
export function startTlsGateway(
  scheme: string,
  { cert, key }: { cert: string; key: string },
  { more = '', rest = '' } = {},
): Promise<TestGateway> {
  const tlsKeys = `{ cert: ${cert}, key: ${key} ${more} }`;
  return startGateway(
    `${ECHO}listen: [{ url: "${scheme}://127.0.0.1:0", tls: ${tlsKeys} }]\n${rest}`,
  );
}
