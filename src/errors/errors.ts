/**
 * Every error that perdure throws. One base class, recognised by its string `code`; the subclasses are
 * there for `instanceof` and for types. A message says what happened, where (class.field, path, offset)
 * and what to do about it; `details` carries the same facts as fields.
 */

/** The codes of all errors, grouped by when they occur. */
export type ErrorCode =
  // declaring classes
  | 'DECLARATION'
  // opening and creating a pool
  | 'NOT_FOUND'
  | 'EXISTS'
  | 'NOT_A_POOL'
  | 'TRUNCATED'
  | 'VERSION'
  | 'SCHEMA'
  | 'LOCKED'
  | 'READ_ONLY'
  | 'DOMAIN'
  | 'LOG_MISSING'
  | 'LOG_MISMATCH'
  | 'BACKEND'
  | 'OPTION'
  // using it
  | 'TXN_REQUIRED'
  | 'TXN_ASYNC'
  | 'VALUE'
  | 'FOREIGN_OBJECT'
  | 'STALE_OBJECT'
  | 'CLOSED'
  | 'POOL_FULL'
  // the medium
  | 'IO'
  | 'CORRUPT'
  | 'POISONED';

/** Facts about an error: `path`, `className`, `field`, `offset`, `expected`, `actual` and the like. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** Base class of every error that perdure throws. Compare `code`, not the message. */
export class PerdureError extends Error {
  /** What kind of error this is; stable across versions. */
  readonly code: ErrorCode;
  /** The facts in the message, as fields. */
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** A class, a field or a decorator is declared in a way that cannot work (code `DECLARATION`). */
export class DeclarationError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('DECLARATION', message, details);
  }
}

/**
 * The pool cannot be opened: `NOT_FOUND`, `EXISTS`, `NOT_A_POOL`, `TRUNCATED`, `VERSION`, `LOCKED`,
 * `READ_ONLY`, `DOMAIN`, `LOG_MISSING`, `LOG_MISMATCH`, `BACKEND` or `OPTION`.
 */
export class PoolOpenError extends PerdureError {}

/** The classes of the program and those of the pool do not fit (code `SCHEMA`). */
export class SchemaError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('SCHEMA', message, details);
  }
}

/** A write outside a transaction (code `TXN_REQUIRED`). Wrap it in `pool.txn(() => { ... })`. */
export class TxnRequiredError extends PerdureError {
  constructor(what: string, details: ErrorDetails = {}) {
    super('TXN_REQUIRED', `${what} outside a transaction: wrap it in pool.txn(() => { ... })`, details);
  }
}

/**
 * A function given to `pool.txn()` returned a promise, or `pool.txnAsync()` was called inside a transaction (code
 * `TXN_ASYNC`); the transaction is rolled back.
 */
export class AsyncTxnError extends PerdureError {
  constructor(message: string) {
    super('TXN_ASYNC', message);
  }
}

/** A value does not fit its field: wrong type, out of range, unknown field (code `VALUE`). Nothing was changed. */
export class ValueError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('VALUE', message, details);
  }
}

/** An object of another pool, or no persistent object at all, was assigned to a reference (code `FOREIGN_OBJECT`). */
export class ForeignObjectError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('FOREIGN_OBJECT', message, details);
  }
}

/** The object no longer exists: its creating transaction was rolled back, or it was deleted (code `STALE_OBJECT`). */
export class StaleObjectError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('STALE_OBJECT', message, details);
  }
}

/** The pool, or the pool of this object, is closed (code `CLOSED`). */
export class PoolClosedError extends PerdureError {
  constructor(what: string, details: ErrorDetails = {}) {
    super('CLOSED', `${what}: the pool is closed. Open it again and read the object from its root`, details);
  }
}

/**
 * No space is left (code `POOL_FULL`): `maxSize` is reached or the file system is full. Nothing was lost:
 * the transaction rolls back and the pool goes on working.
 */
export class PoolFullError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}, cause?: unknown) {
    super('POOL_FULL', message, details, cause);
  }
}

/** A system call on the pool's file failed (code `IO`). */
export class IoError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}, cause?: unknown) {
    super('IO', message, details, cause);
  }
}

/** The bytes of the pool are not what perdure wrote (code `CORRUPT`); names pool, offset and what was expected. */
export class CorruptionError extends PerdureError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('CORRUPT', message, details);
  }
}

/** An earlier failure to persist left the pool in doubt (code `POISONED`): close it and open it again. */
export class PoisonedError extends PerdureError {
  constructor(cause: unknown) {
    super(
      'POISONED',
      'an earlier flush or rollback of this pool failed, so its memory can no longer be trusted: close it and open ' +
        'it again; recovery finds every committed transaction',
      {},
      cause,
    );
  }
}
