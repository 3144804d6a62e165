/**
 * Scenarios around the end of the log's first segment: one transaction of n snapshots, so that with some n each of
 * its records, the commit record included, is the one for which the log has to grow.
 */
import { bytes, Field, i32, list, nullable, Persistent, type PersistentList } from '../../src/index.js';
import type { Scenario } from './scenario.js';

@Persistent()
export class Cell {
  @Field(i32) declare value: number;
  @Field(i32) declare other: number;
}

@Persistent()
export class LogEndRoot {
  @Field(i32) declare count: number;
  @Field(list(() => Cell)) declare cells: PersistentList<Cell>;
  @Field(nullable(bytes)) declare blob: Uint8Array | null;
}

interface LogEndModel {
  count: number;
  cells: number[];
  blob: number[] | null;
}

/** What happens before the n snapshots of the transaction. */
export type LogEndVariant = 'plain' | 'savepoint' | 'frees';

const CELLS = 150;
const BLOB_BYTES = 70_000;
/** Cells that are not neighbours, so that each is a range of its own. */
const APART = 2;

export function logEnd(snapshots: number, variant: LogEndVariant): Scenario<LogEndRoot, LogEndModel> {
  return {
    name: `log end, ${snapshots} snapshots, ${variant}`,
    root: LogEndRoot,
    initial: { count: 0, cells: [], blob: null },
    read: (root) => ({
      count: root.count,
      cells: [...root.cells].map((cell) => cell.value),
      blob: summary(root.blob),
    }),
    prepare(run) {
      run.commit((root, draft) => {
        for (let index = 0; index < CELLS; index++) {
          const cell = new Cell();
          cell.value = index;
          root.cells.push(cell);
          draft.cells.push(index);
        }
      });
      // The log is as small as it was: the pool is opened anew, and its extension was given back if it had one.
      if (variant !== 'frees') return;
      run.commit((root, draft) => {
        root.blob = new Uint8Array(BLOB_BYTES).fill(7);
        draft.blob = [BLOB_BYTES, 7];
      });
    },
    steps(run) {
      run.commit((root, draft) => {
        if (variant === 'savepoint') {
          run.attempt(() => {
            root.blob = new Uint8Array(BLOB_BYTES).fill(9);
          });
        }
        if (variant === 'frees') {
          root.blob = null;
          draft.blob = null;
        }
        for (let index = 0; index < snapshots; index++) {
          const at = index * APART;
          (root.cells.at(at) as Cell).value = 1000 + at;
          draft.cells[at] = 1000 + at;
        }
      });
      run.commit((root, draft) => {
        root.count = 1;
        draft.count = 1;
      });
    },
  };
}

/**
 * A savepoint that is rolled back has run over the place where the transaction before started: whatever becomes of the
 * commit that follows, that transaction cannot be found there.
 */
export function overrun(snapshots: number): Scenario<LogEndRoot, LogEndModel> {
  const { name: _, steps: __, ...scenario } = logEnd(0, 'plain');
  return {
    ...scenario,
    name: `overrun, ${snapshots} snapshots`,
    steps(run) {
      // The third transaction of an opening starts where the first did, the second in the middle of the log.
      for (let count = 1; count <= 3; count++) {
        run.commit((root, draft) => {
          root.count = -1;
          if (count === 3) {
            run.attempt(() => {
              for (let index = 0; index < snapshots; index++)
                (root.cells.at(index * APART) as Cell).value = -1;
            });
          }
          root.count = count;
          draft.count = count;
        });
      }
    },
  };
}

function summary(blob: Uint8Array | null): number[] | null {
  if (blob === null) return null;
  const first = blob[0] as number;
  return Buffer.alloc(blob.length, first).equals(blob) ? [blob.length, first] : [...blob];
}
