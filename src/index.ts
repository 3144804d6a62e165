/**
 * perdure: decorated classes are the database. See README.md for a start, docs/architecture.md for the structure.
 */
export { PersistentList, PersistentMap, PersistentQueue, type Storable } from './collections/index.js';
export { Field, Persistent, type PersistentOptions } from './decorators/index.js';
export * from './errors/index.js';
export type { Offset, Ref } from './format/index.js';
export type { HeapStats } from './heap/index.js';
export { FixedArray, type Plain, type PlainValue, toPlain } from './instance/index.js';
export {
  type Access,
  type BytesType,
  bool,
  bytes,
  type ClassOf,
  date,
  type EmbeddedType,
  type EnumType,
  embedded,
  enumOf,
  type FieldType,
  type FixedArrayType,
  f32,
  f64,
  fixedArray,
  i8,
  i16,
  i32,
  i64,
  type ListType,
  list,
  type MapType,
  map,
  nullable,
  type QueueType,
  queue,
  type RefType,
  ref,
  type ScalarType,
  type StringType,
  string,
  type TypedArrayName,
  type TypedArrayType,
  type TypeSpec,
  typedArray,
  u8,
  u16,
  u32,
  u64,
} from './layout/index.js';
export {
  type BackgroundWriter,
  type Domain,
  type EmulateOptions,
  type LogKind,
  type Memory,
  type MemoryBackend,
  type MemoryInfo,
  type MemoryOpenOptions,
  type PersistCounters,
  type RecordWriter,
  STEP,
  type Step,
  type WalAccess,
  type WalFile,
  type WalOpenOptions,
  type WalRecordWriter,
  type WriteAheadLog,
} from './memory/index.js';
export {
  type CheckReport,
  type Durability,
  type NamedRoots,
  Pool,
  type PoolOptions,
  type PoolStats,
} from './pool/index.js';
export type { RecoveryResult, WalStats } from './txn/index.js';
