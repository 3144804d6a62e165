/** Runs of slots: what lists do with several elements at once. Snapshots are the caller's. */
import type { Offset } from '../format/index.js';
import { Container, type SlotCodec } from '../instance/index.js';

/** Checks values and returns what is to be stored for them: from here on no code of the program runs. */
export function takeValues<T>(codec: SlotCodec<T>, values: readonly unknown[]): readonly T[] {
  const taken = codec.settle === undefined ? values : values.map((value) => codec.settle?.(value));
  const checked: SlotCodec = codec;
  for (let i = 0; i < taken.length; i++) checked.check(taken[i]);
  return taken as readonly T[];
}

/** Plain copies of the elements of a list or queue. */
export function settleElements(codec: SlotCodec, elements: unknown[]): unknown[] {
  return codec.settle === undefined ? elements : elements.map((element) => codec.settle?.(element));
}

/** Stores `count` values, from `values[done]` on, in fresh slots from byte `at` on. */
export function writeSlots<T>(
  codec: SlotCodec<T>,
  at: number,
  values: readonly T[],
  range: { readonly done: number; readonly count: number },
): void {
  for (let i = 0; i < range.count; i++) {
    codec.write((at + i * codec.sizeBytes) as Offset, values[range.done + i] as T);
  }
}

/** Stores a value in a slot that holds another. */
export function replaceSlot<T>(codec: SlotCodec<T>, at: Offset, value: T): void {
  if (codec.owns) {
    // A container that is stored where it already is stays: its handle must not go stale.
    if (value instanceof Container && codec.read(at) === value) return;
    codec.release(at);
  }
  codec.write(at, value);
}

/** Frees what `count` slots from byte `at` on own. */
export function releaseSlots(
  codec: Pick<SlotCodec, 'owns' | 'release' | 'sizeBytes'>,
  at: number,
  count: number,
): void {
  if (!codec.owns) return;
  for (let i = 0; i < count; i++) codec.release((at + i * codec.sizeBytes) as Offset);
}
