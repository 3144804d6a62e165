/**
 * Cursors: places in a map that survive its mutation. An iterator steps a cursor; compaction, which slides
 * entries down, moves the cursors of the map with them.
 *
 * INV-MAP-6  A cursor visits each entry that is in the map when it gets there once, in insertion order: every
 *            entry below `next` was visited or is dead, every entry from `next` on was not visited.
 *
 * Cursors are volatile. After a rollback a cursor goes on behind the entry it visited last, if that is still
 * where it was (its hash tells), and is lost otherwise. Iterators that are dropped half way do not pile up: only
 * the MAX_CURSORS newest are moved, older ones are lost when they resume after entries were moved.
 */

/** Cursors per map that are kept up to date. */
const MAX_CURSORS = 256;

/** Value of `last` when nothing was visited, and when it is unknown what was. */
export const NOTHING = -1;
export const UNKNOWN = -2;

export interface Cursor {
  /** Index of the first slot that was not visited. */
  next: number;
  /** Index of the slot visited last, NOTHING or UNKNOWN; its hash. */
  last: number;
  lastHash: number;
  /** `CursorSet.version` when the set dropped this cursor, or -1 while the set holds it. */
  dropped: number;
}

/** The cursors of one map. */
export class CursorSet {
  /** Incremented when entries move. */
  version = 0;
  readonly #cursors: Cursor[] = [];

  add(cursor: Cursor): void {
    const cursors = this.#cursors;
    if (cursors.length >= MAX_CURSORS) {
      const oldest = cursors.shift();
      if (oldest !== undefined) oldest.dropped = this.version;
    }
    cursor.dropped = -1;
    cursors.push(cursor);
  }

  remove(cursor: Cursor): void {
    const index = this.#cursors.indexOf(cursor);
    if (index >= 0) this.#cursors.splice(index, 1);
  }

  /** Holds a cursor again that was dropped. @returns false when it has missed a move */
  resume(cursor: Cursor): boolean {
    if (cursor.dropped !== this.version) return false;
    this.add(cursor);
    return true;
  }

  /** The entry in slot `from` moves down to slot `to`; the slots between are dead. */
  moved(from: number, to: number): void {
    this.version++;
    for (const cursor of this.#cursors) {
      if (cursor.next > to && cursor.next <= from) cursor.next = to;
      if (cursor.last === from) cursor.last = to;
      else if (cursor.last === to) cursor.last = UNKNOWN;
    }
  }

  /** Slots from `used` on are out of use. */
  truncated(used: number): void {
    this.version++;
    for (const cursor of this.#cursors) {
      if (cursor.next > used) cursor.next = used;
      if (cursor.last >= used) cursor.last = UNKNOWN;
    }
  }
}
