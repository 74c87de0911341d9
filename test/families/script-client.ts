/** What the two script clients have in common: a WebSocket, heartbeats only when the server begins, and text as CESU-8. */
import { type Json, Double } from './double.ts';
import { cesu8, parseJson } from './text.ts';
import { pack, PackageType, Trouble } from './wire.ts';

export abstract class ScriptClient extends Double {
  isShaken = false;
  #heartbeatMs = 0;
  #next: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;

  protected abstract readonly sys: Json;

  /** Text as this client reads it. */
  protected abstract readText(bytes: Buffer): string;

  protected abstract onSys(sys: Json): void;

  protected abstract onData(body: Buffer): void;

  /** What `onKick` is called with. */
  protected abstract kickBody(body: Buffer): unknown;

  /** `JSON.stringify` leaves out a `user` that is undefined. */
  protected opening(user: Json | undefined): Buffer {
    return cesu8(JSON.stringify({ sys: this.sys, user }));
  }

  protected onPackage(type: number, body: Buffer): void {
    if (type === PackageType.HANDSHAKE) this.#onHandshake(body);
    else if (type === PackageType.HEARTBEAT) this.#onHeartbeat();
    else if (type === PackageType.DATA) this.onData(body);
    else if (type === PackageType.KICK) this.tell({ kind: 'kick', body: this.kickBody(body) });
    // `handlers[type]` is undefined.
    else throw new Trouble(`throws: package type ${type}`);
  }

  protected parseText(bytes: Buffer): unknown {
    return parseJson(this.readText(bytes));
  }

  #onHandshake(body: Buffer): void {
    const answer = this.parseText(body) as Json;
    if (answer['code'] !== 200) throw new Trouble(`emits an error: ${JSON.stringify(answer)}`);
    const sys = answer['sys'] as Json | undefined;
    // Without it the state that sending needs is never made.
    if (sys === undefined) throw new Trouble('throws when it sends: a handshake without sys');
    this.#heartbeatMs = ((sys['heartbeat'] as number | undefined) ?? 0) * 1_000;
    this.onSys(sys);
    this.write(pack(PackageType.ACK));
    this.isShaken = true;
  }

  /** Each one from the server ends the wait for it, and has one sent after the interval. */
  #onHeartbeat(): void {
    if (this.#heartbeatMs === 0) return;
    this.stop(this.#deadline);
    if (this.#next !== undefined) return;
    this.#next = this.after(this.#heartbeatMs, () => {
      this.#next = undefined;
      this.write(pack(PackageType.HEARTBEAT));
      this.#deadline = this.after(this.#heartbeatMs * 2, () => {
        throw new Trouble('disconnects: heartbeat timeout');
      });
    });
  }
}
