/** The steps of the protocols that write, flush, fence or sync. */

/**
 * Names of the protocol steps that flush or fence. Real media ignore them; the simulated medium can leave one
 * out, so that a test can show that it is needed.
 */
export const STEP = {
  headerFlush: 3,
  headerFence: 4,
  recordFlush: 5,
  recordFence: 6,
  dataFlush: 7,
  dataFence: 8,
  commitFlush: 9,
  commitFence: 10,
  rollbackFlush: 11,
  rollbackFence: 12,
  recoveryFlush: 13,
  recoveryFence: 14,
  /** A record of the redo log is written. */
  walAppend: 15,
  /** A commit of the redo log is made durable. */
  walSync: 16,
  /** A new log, and its header, are written and made durable before the pool's header names it. */
  walCreate: 17,
  walCreateSync: 18,
  /** The log is made durable before pages of a checkpoint are written. */
  walSyncAhead: 19,
  pageWrite: 20,
  /** The pages of a checkpoint are made durable before the log behind them is given up. */
  pageSync: 21,
  walTail: 22,
  /** The log's new tail is durable before the room in front of it is used again. */
  walTailSync: 23,
} as const;
/** One of `STEP`. */
export type Step = (typeof STEP)[keyof typeof STEP];
