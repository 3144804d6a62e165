/**
 * What instances and containers of one pool share: its memory, heap, transaction and identity map. Wired by
 * pool/, one per open pool.
 */
import type { Heap, Writer } from '../heap/index.js';
import type { FieldType } from '../layout/index.js';
import type { Views } from '../memory/index.js';
import type { SlotCodec } from './codec.js';

/** The part of the transaction that hot paths read; one object per pool, so that closures can hold it. */
export interface TxnStamp {
  /**
   * Differs for every transaction and savepoint. A handle whose STAMP equals it was snapshotted (or allocated)
   * since then and may be stored to; outside a transaction no handle has it.
   */
  stamp: number;
  /** Incremented by every rollback (of a savepoint too): volatile caches of pool contents are void then. */
  rollbacks: number;
}

export interface Runtime {
  readonly views: Views;
  readonly heap: Heap;
  readonly writer: Writer;
  readonly txn: TxnStamp;
  /** Seed of hash functions: differs from pool to pool, equal for every opening of one pool. */
  readonly hashSeed: number;
  /** The codec of element slots; `where` names them in messages, as in `Root.byName value`. */
  codec(type: FieldType, where: string): SlotCodec;
}
