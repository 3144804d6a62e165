/**
 * `mapOps`: maps as fields and elements see them (instance/container.ts), with the validation that check and
 * garbage collection rely on.
 */

import { CorruptionError, ValueError } from '../errors/index.js';
import { CONTAINER_BYTES, LAYOUT_ID, MAP, MAP_ENTRY, type Offset, type Ref } from '../format/index.js';
import {
  BOUND,
  type Container,
  type ContainerBinding,
  type ContainerOps,
  type Runtime,
  type Tracer,
} from '../instance/index.js';
import { type ContainerType, describeType } from '../layout/index.js';
import { PersistentMap } from './map.js';
import { MapCodecs } from './map-codecs.js';

type Binding = ContainerBinding<MapCodecs>;
type Pair = readonly [key: unknown, value: unknown];

const COUNT = MAP.count.offset / 4;
const USED = MAP.used.offset / 4;
const BUCKETS = MAP.bucketCount.offset / 4;
const READ = MAP.read.offset / 4;
const WRITE = MAP.write.offset / 4;
const RESERVED = MAP.reserved.offset / 4;

/** Maps. Contents may be a Map, a PersistentMap, an array or other collection of pairs or, for string keys, a plain object. */
export const mapOps: ContainerOps<MapCodecs> = {
  kind: 'map',
  headerBytes: CONTAINER_BYTES.map,
  layoutId: LAYOUT_ID.map,

  codecs(runtime: Runtime, type: ContainerType, where: string): MapCodecs {
    if (type.kind !== 'map') throw new TypeError(`${where}: ${describeType(type)} is no map`);
    return new MapCodecs(runtime, type, where);
  },

  open(binding: Binding, ref: Ref): PersistentMap {
    return new PersistentMap(binding, ref);
  },

  checkContents(binding: Binding, value: unknown): void {
    checkPairs(binding, pairsOf(binding, value));
  },

  settle: settlePairs,

  assign(container: Container<MapCodecs>, value: unknown): void {
    if (container === value) return;
    const map = container as PersistentMap;
    const pairs = settlePairs(map[BOUND], value);
    checkPairs(map[BOUND], pairs);
    map.clear();
    for (const [key, element] of pairs) map.set(key, element);
  },

  release(binding: Binding, ref: Ref): void {
    binding.codecs.release(binding.runtime.views.u32, ref * 4);
  },

  trace,
};

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

/** The entries of a value, taken out of it before anything is changed: its iterator may be the program's. */
function pairsOf(binding: Binding, value: unknown): readonly Pair[] {
  const { codecs, where } = binding;
  if (isIterable(value)) {
    const iterator: unknown = value[Symbol.iterator]();
    if (iterator !== value) return Array.from(value, (pair) => pairOf(where, pair));
    // It is checked first and stored later, so it is read twice.
    throw new ValueError(
      `${where}: an iterator can be read only once; give the map an array, as in [...pairs]`,
      {
        field: where,
      },
    );
  }
  const prototype = typeof value === 'object' && value !== null ? Object.getPrototypeOf(value) : undefined;
  const isPlain = prototype === null || prototype === Object.prototype;
  if (isPlain && codecs.keys.slot.type.kind === 'string') return Object.entries(value as object);
  const expected = codecs.keys.slot.type.kind === 'string' ? 'a plain object' : 'an array of pairs';
  throw new ValueError(
    `${where}: a map takes a Map, a PersistentMap, an iterable of [key, value] pairs or ${expected}, not ` +
      describe(value),
    { field: where },
  );
}

/** The same, with values that can be stored without reading anything of the program. */
function settlePairs(binding: Binding, value: unknown): readonly Pair[] {
  const pairs = pairsOf(binding, value);
  const { value: codec } = binding.codecs;
  if (codec.settle === undefined) return pairs;
  return pairs.map(([key, element]): Pair => [key, codec.settle?.(element)]);
}

function pairOf(where: string, pair: unknown): Pair {
  if (typeof pair !== 'object' || pair === null) {
    throw new ValueError(`${where}: [key, value] was expected, not ${describe(pair)}`, { field: where });
  }
  const { 0: key, 1: value } = pair as { readonly 0?: unknown; readonly 1?: unknown };
  return [key, value];
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? `an object of ${value.constructor?.name ?? 'no class'}` : typeof value;
}

function checkPairs(binding: Binding, pairs: readonly Pair[]): void {
  const { keys, value: codec } = binding.codecs;
  const checked: { check(value: unknown): void } = codec;
  for (const [key, value] of pairs) {
    keys.check(key);
    checked.check(value);
  }
}

function trace(binding: Binding, ref: Ref, tracer: Tracer): void {
  const { codecs, runtime, where } = binding;
  const { entries, buckets, index, keys, value } = codecs;
  const { u32 } = runtime.views;
  const header = ref * 4;
  const corrupt = (word: number, expected: string): CorruptionError =>
    new CorruptionError(`${where}: at offset ${word * 4} ${expected} was expected`, {
      field: where,
      offset: word * 4,
      expected,
    });
  const count = u32[header + COUNT] as number;
  const used = u32[header + USED] as number;
  const bucketCount = u32[header + BUCKETS] as number;
  const read = u32[header + READ] as number;
  const write = u32[header + WRITE] as number;
  if (count > used || read > used || write > read || u32[header + RESERVED] !== 0) {
    throw corrupt(header + COUNT, 'count <= used, write <= read <= used, and zero');
  }
  if (count > 0 && bucketCount === 0) throw corrupt(header + BUCKETS, 'a bucket');
  // 1. The blocks: from here on every slot in use can be located.
  entries.array.trace(u32, header, used, tracer);
  buckets.trace(u32, header, bucketCount, tracer);
  // 2. The entries.
  const live = new Uint32Array(Math.ceil(used / 32));
  let found = 0;
  for (let i = entries.nextLive(u32, header, 0); i >= 0; i = entries.nextLive(u32, header, i + 1)) {
    const entry = entries.array.locate(u32, header, i) * 4;
    live[i >>> 5] = (live[i >>> 5] ?? 0) | (1 << (i & 31));
    found++;
    if (keys.slot.traced) keys.slot.trace((entry * 4 + entries.keyBytes) as Offset, tracer);
    if (value.traced) value.trace((entry * 4 + entries.valueBytes) as Offset, tracer);
    const hash = keys.hashAt(runtime, entry + MAP_ENTRY.key.offset / 4);
    if (hash >>> 0 !== u32[entry]) throw corrupt(entry, 'hash of the key');
  }
  if (found !== count) throw corrupt(header + COUNT, `count ${found}`);
  // 3. The index: each of them stands in it once, and nothing else does.
  index.trace(u32, header, live);
  const missing = live.findIndex((bits) => bits !== 0);
  if (missing >= 0)
    throw corrupt(header, `an index with all entries; one from ${missing * 32} on is missing`);
}
