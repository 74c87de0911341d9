/**
 * Holds a backend's schema and renews it when it changes: all or nothing, and the old one stays while the new one
 * is bad. Files are looked at, never watched: a mounted ConfigMap changes by a link, which watching misses.
 */
import { inBackground } from '../../background.ts';
import { type Clock, within } from '../../clock.ts';
import { errorText } from '../../errors.ts';
import { Timeout, type TimerWheel } from '../../timer-wheel.ts';
import type { BackendReport } from '../backend-report.ts';
import { SchemaDisk, type SchemaPaths } from './descriptors.ts';
import type { GrpcConnection } from '../grpc-client/grpc-connection.ts';
import { fixedMetadata } from '../grpc-client/grpc-pool.ts';
import { reflect } from './reflection.ts';
import { makeSchema, type Problems, type Schema, type SchemaFiles } from './schema.ts';

/** How often files are checked, and a backend that has not given a schema yet is asked again. */
export const LOOK_EVERY_MS = 5_000;
/** How often a backend is asked whether its schema has changed. */
export const REFLECT_EVERY_MS = 60_000;
/** How long it may take to say it. */
const REFLECT_WAIT_MS = 5_000;

export type SchemaKeeperOptions = SchemaPaths & {
  readonly services: readonly string[];
  readonly reflection: boolean;
  /** The only digest that is taken; '': any. */
  readonly digest: string;
  /** Sent with every call. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
};

const NO_FILES: SchemaFiles = { files: [], problems: [] };

export class SchemaKeeper {
  /** null: there is none yet. */
  schema: Schema | null = null;
  readonly #options: SchemaKeeperOptions;
  readonly #report: BackendReport;
  readonly #connection: () => GrpcConnection | null;
  readonly #disk: SchemaDisk;
  readonly #nextLook: Timeout;
  #stamp = '';
  #reflectedAt = -Infinity;
  #reported = '';
  #isAsked = false;
  #looking: Promise<void> | null = null;
  #closed = false;

  /** @param connection A connection to a backend that is there; null: none is. */
  constructor(
    options: SchemaKeeperOptions,
    report: BackendReport,
    connection: () => GrpcConnection | null,
  ) {
    this.#options = options;
    this.#report = report;
    this.#connection = connection;
    this.#disk = new SchemaDisk(options);
    this.#nextLook = new Timeout(() => {
      this.lookSoon();
    });
  }

  /** Looks whether anything has changed: now, once more if it is looking already, and from then on. Never rejects. */
  look(): Promise<void> {
    this.#isAsked = true;
    this.#looking ??= this.#lookWhileAsked();
    return this.#looking;
  }

  /** As `look`, without waiting for it. */
  lookSoon(): void {
    inBackground(this.look(), this.#failed);
  }

  async #lookWhileAsked(): Promise<void> {
    try {
      while (this.#isAsked && !this.#closed) {
        this.#isAsked = false;
        await this.#look();
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#looking = null;
      if (!this.#closed) this.#options.wheel.set(this.#nextLook, LOOK_EVERY_MS);
    }
  }

  readonly #failed = (error: unknown): void => {
    this.#take({ problems: [`it could not be read: ${errorText(error)}`] });
  };

  close(): void {
    this.#closed = true;
    this.#options.wheel.cancel(this.#nextLook);
  }

  async #look(): Promise<void> {
    const stamp = await this.#disk.stamp();
    const isSame = stamp === this.#stamp;
    // Before it is read: what changes meanwhile is seen at the next look.
    this.#stamp = stamp;
    const { reflection, wheel } = this.#options;
    if (!reflection) {
      if (!isSame) this.#take(await this.#make(NO_FILES));
      return;
    }
    const isDue = wheel.now() >= this.#reflectedAt + REFLECT_EVERY_MS || this.schema === null;
    const connection = this.#connection();
    if ((isSame && !isDue) || connection === null) return;
    this.#reflectedAt = wheel.now();
    const made = await this.#reflected(connection);
    if (!isSame || !('digest' in made) || made.digest !== this.schema?.digest) this.#take(made);
  }

  async #reflected(connection: GrpcConnection): Promise<Schema | Problems> {
    const { clock, services, metadata } = this.#options;
    const deadline = clock.wallNow() + REFLECT_WAIT_MS;
    const asked = reflect(connection, services, fixedMetadata(metadata), deadline).then(
      (protos) => protos.map((proto) => ({ proto, from: 'the reflection of the backend' })),
      (error: unknown): Problems => ({ problems: [errorText(error)] }),
    );
    const late: Problems = { problems: [`reflection took longer than ${REFLECT_WAIT_MS} ms`] };
    const files = await within(clock, 2 * REFLECT_WAIT_MS, asked, late);
    return 'problems' in files ? files : this.#make({ files, problems: [] });
  }

  async #make(more: SchemaFiles): Promise<Schema | Problems> {
    const { services, digest } = this.#options;
    const { files, problems } = await this.#disk.read();
    const all = { files: [...files, ...more.files], problems: [...problems, ...more.problems] };
    const made = makeSchema(all, services);
    if ('problems' in made || digest === '' || made.digest === digest) return made;
    return { problems: [`the schema is ${made.digest}, and reflection_digest is ${digest}`] };
  }

  #take(made: Schema | Problems): void {
    if (this.#closed) return;
    if ('problems' in made) {
      const { problems } = made;
      const text = problems.join('\n');
      // Once, until it is something else.
      if (text !== this.#reported)
        this.#report.error('schema refused', { problems, oldOneStays: this.schema !== null });
      this.#reported = text;
      return;
    }
    this.#reported = '';
    this.schema = made;
    const { digest, methods } = made;
    this.#report.info('schema', { methods: methods.size, digest });
  }
}
