/** Every error of the gateway's own, and every way in which a session ends. */
import { GRPC, type Reason, REASONS } from '../errors.ts';
import { ANSWERED, ENDED } from '../failures/advice.ts';
import { TOKEN_FAULTS } from '../auth/jwt/token.ts';
import { CLOSE_REASONS, type CloseReason } from '../session/close-reason.ts';
import { REFUSALS } from '../transport/refused.ts';
import { code, heading, page, prose, table, WRITTEN } from './markdown.ts';

export function errorsPage(): string {
  const statusNames = new Map<number, string>(
    Object.entries(GRPC).map(([name, status]) => [status, name]),
  );
  const errors = Object.entries(REASONS).map(([reason, one]) => [
    code(reason),
    String(one.code),
    statusNames.get(one.grpcStatus)!,
    one.log,
    prose(one.message),
    prose(ANSWERED[reason as Reason]),
  ]);
  const closes = Object.entries(CLOSE_REASONS).map(([reason, one]) => [
    code(reason),
    String(one.webSocketCode),
    one.kicks ? code(reason) : '',
    one.log,
    prose(one.about),
    prose(ENDED[reason as CloseReason]),
  ]);
  return page(
    WRITTEN,
    heading(1, 'Errors and close reasons'),
    heading(2, 'Errors'),
    'A client gets `{"code":…,"reason":…,"msg":…}`; Control answers with the code as HTTP status, or with the status of ' +
      'gRPC. These are the reasons that the gateway itself gives, with their standard texts; backends may give others. ' +
      'The level is that of the line in the log. `pith why REF` says what to do about one of them.',
    table(['reason', 'code', 'gRPC', 'level', 'text', 'what to do'], errors),
    heading(2, 'Close reasons'),
    'The word in the log, in `pith_sessions_closed_total`, in the event `closed`, and in the close frame of a WebSocket. ' +
      'Where a kick is named, the client first gets a kick packet with `{"reason":…}`.',
    table(['reason', 'WebSocket', 'kick', 'level', 'what has happened', 'what to do'], closes),
    heading(2, 'Refused connections'),
    'The word in the log and in `pith_connections_refused_total`, for connections that never became sessions; those of the ' +
      'health, admin and control ports are in `pith_port_connections_refused_total`.',
    table(
      ['reason', 'what has happened, and what to do'],
      Object.entries(REFUSALS).map(([reason, about]) => [code(reason), prose(about)]),
    ),
    heading(2, 'Refused tokens'),
    `Besides \`accepted\` and errors, \`outcome\` of \`pith_jwt_tokens_total\` is one of ${TOKEN_FAULTS.map(code).join(', ')}.`,
  );
}
