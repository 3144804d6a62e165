/**
 * What is known of a map from its declaration: the codecs of keys and values and the structures built on them.
 * One per field and pool, shared by all maps of the field.
 */

import { MAP, MAP_BUCKET_BYTES } from '../format/index.js';
import type { Runtime, SlotCodec } from '../instance/index.js';
import type { MapType } from '../layout/index.js';
import { type KeyCodec, keyCodec } from './keys.js';
import { MapArray } from './map-array.js';
import { MapEntries } from './map-entries.js';
import { MapIndex } from './map-index.js';

export class MapCodecs {
  readonly runtime: Runtime;
  readonly keys: KeyCodec;
  readonly value: SlotCodec;
  readonly entries: MapEntries;
  readonly buckets: MapArray;
  readonly index: MapIndex;
  /** Whether storing a value may run code of the program, such as an iterable from which a list is filled. */
  readonly reentrant: boolean;

  /** @throws DeclarationError when the key type cannot be a key */
  constructor(runtime: Runtime, type: MapType, where: string) {
    this.runtime = runtime;
    this.keys = keyCodec(runtime, type.key, `${where} key`);
    this.value = runtime.codec(type.value, `${where} value`);
    this.entries = new MapEntries(runtime, this.keys, this.value, where);
    this.buckets = new MapArray({
      runtime,
      where,
      field: MAP.buckets.offset,
      slotBytes: MAP_BUCKET_BYTES,
      minCapacity: 1,
      tag: 1,
    });
    this.index = new MapIndex(runtime, where, this.entries.array, this.buckets);
    const { kind } = type.value;
    this.reentrant = ['list', 'queue', 'map', 'embedded', 'fixedArray'].includes(kind);
  }

  /** Frees everything the map owns; the header is left as it is. */
  release(u32: Uint32Array, header: number): void {
    const { entries } = this;
    if (this.keys.slot.owns || this.value.owns) {
      for (let i = entries.nextLive(u32, header, 0); i >= 0; i = entries.nextLive(u32, header, i + 1)) {
        entries.releaseSlots(entries.array.locate(u32, header, i) * 4);
      }
    }
    entries.array.release(u32, header);
    this.buckets.release(u32, header);
  }
}
