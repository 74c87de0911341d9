/** Every error of the gateway's own, and every way in which a session ends. */
import { GRPC, REASONS } from '../errors.ts';
import { CLOSE_REASONS } from '../session/close-reason.ts';
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
  ]);
  const closes = Object.entries(CLOSE_REASONS).map(([reason, one]) => [
    code(reason),
    String(one.webSocketCode),
    one.kick === null ? '' : code(one.kick),
    one.log,
    prose(one.about),
  ]);
  return page(
    WRITTEN,
    heading(1, 'Errors and close reasons'),
    heading(2, 'Errors'),
    'A client gets `{"code":…,"reason":…,"msg":…}`; Control answers with the code as HTTP status, or with the status of ' +
      'gRPC. These are the reasons that the gateway itself gives, with their standard texts; backends may give others. ' +
      'The level is that of the line in the log.',
    table(['reason', 'code', 'gRPC', 'level', 'text'], errors),
    heading(2, 'Close reasons'),
    'The word in the log, in `pith_sessions_closed_total`, in the event `closed`, and in the close frame of a WebSocket. ' +
      'Where a kick is named, the client first gets a kick packet with `{"reason":…}`.',
    table(['reason', 'WebSocket', 'kick', 'level', 'what has happened'], closes),
  );
}
