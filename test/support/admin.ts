/** Control over HTTP with JSON, on a gateway's admin port. */
export type AdminAnswer = { readonly status: number; readonly lines: Record<string, unknown>[] };

/** `POST /v1/<method>`: the status, and the objects of the answer. */
export async function admin(
  gateway: { readonly adminPort: number },
  method: string,
  request: object = {},
): Promise<AdminAnswer> {
  const answer = await fetch(`http://127.0.0.1:${gateway.adminPort}/v1/${method}`, {
    method: 'POST',
    body: JSON.stringify(request),
  });
  const lines = (await answer.text()).split('\n').filter((line) => line !== '');
  return {
    status: answer.status,
    lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}
