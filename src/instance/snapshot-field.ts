/** What must be saved before a field of an object that is too large to be snapshotted as a whole is stored to. */
import { GRANULE_BYTES, type Ref } from '../format/index.js';
import type { Writer } from '../heap/index.js';
import { type FieldLayout, isContainerType } from '../layout/index.js';

/** Snapshots what a field occupies: its own granules, and the one with its presence bit. */
export function snapshotField(writer: Writer, ref: Ref, layout: FieldLayout): void {
  const { offset, bytes, presence, type } = layout;
  const inline = type.kind === 'embedded' || type.kind === 'fixedArray' || isContainerType(type);
  // What lies inside at a granule boundary snapshots itself.
  if (!inline) {
    const end = Math.ceil((offset + bytes) / GRANULE_BYTES);
    for (let granule = Math.floor(offset / GRANULE_BYTES); granule < end; granule += 1)
      writer.snapshot(ref + granule, 1);
  }
  if (presence !== null) writer.snapshot(ref + Math.floor(presence.offset / GRANULE_BYTES), 1);
}
