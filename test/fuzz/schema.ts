/** The classes of the model fuzz test: a field of every kind, and containers of every key and element kind. */
import {
  bool,
  bytes,
  date,
  embedded,
  enumOf,
  Field,
  f32,
  f64,
  fixedArray,
  i8,
  i16,
  i32,
  i64,
  list,
  map,
  nullable,
  Persistent,
  queue,
  typedArray,
  u8,
  u16,
  u32,
  u64,
} from '../../src/index.js';

const COLOUR = enumOf(['red', 'green', 'blue']);
const LEVEL = enumOf(Array.from({ length: 300 }, (_, i) => i * 3));

@Persistent()
export class FuzzInner {
  @Field(u8) declare small: number;
  @Field('string') declare label: string;
  @Field(list('string')) declare words: unknown;
}

@Persistent()
export class FuzzStruct {
  @Field(i32) declare x: number;
  @Field(nullable(f64)) declare y: number | null;
  @Field('string') declare title: string;
  @Field(nullable('string')) declare note: string | null;
  @Field(() => FuzzNode) declare link: FuzzNode | null;
  @Field(list(i16)) declare numbers: unknown;
  @Field(embedded(() => FuzzInner)) declare inner: unknown;
  @Field(fixedArray('string', 2)) declare pair: unknown;
}

@Persistent()
export class FuzzNode {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
  @Field(() => FuzzNode) declare next: FuzzNode | null;
  @Field(list(() => FuzzNode)) declare kids: unknown;
  @Field(map('string', 'string')) declare tags: unknown;
}

@Persistent()
export class FuzzLeaf extends FuzzNode {
  @Field('bytes') declare blob: Uint8Array;
  @Field(embedded(() => FuzzStruct)) declare struct: unknown;
}

/** Handed out as the direct view. */
@Persistent({ access: 'direct' })
export class FuzzDirect extends FuzzNode {
  @Field(nullable(i64)) declare big: bigint | null;
  @Field(queue(() => FuzzNode)) declare line: unknown;
}

@Persistent()
export class FuzzWorld {
  @Field(i8) declare i8: number;
  @Field(u8) declare u8: number;
  @Field(i16) declare i16: number;
  @Field(u16) declare u16: number;
  @Field(i32) declare i32: number;
  @Field(u32) declare u32: number;
  @Field(f32) declare f32: number;
  @Field(f64) declare f64: number;
  @Field(i64) declare i64: bigint;
  @Field(u64) declare u64: bigint;
  @Field(bool) declare bool: boolean;
  @Field(date) declare date: Date;
  @Field(COLOUR) declare colour: string;
  @Field(LEVEL) declare level: number;
  @Field('string') declare string: string;
  @Field(bytes) declare bytes: Uint8Array;
  @Field(typedArray('Float64Array')) declare floats: Float64Array;
  @Field(() => FuzzNode) declare node: FuzzNode | null;
  @Field(() => FuzzLeaf) declare leaf: FuzzLeaf | null;
  @Field(() => FuzzWorld) declare self: FuzzWorld | null;

  @Field(nullable(i8)) declare i8Null: number | null;
  @Field(nullable(u16)) declare u16Null: number | null;
  @Field(nullable(u32)) declare u32Null: number | null;
  @Field(nullable(f32)) declare f32Null: number | null;
  @Field(nullable(f64)) declare f64Null: number | null;
  @Field(nullable(i64)) declare i64Null: bigint | null;
  @Field(nullable(bool)) declare boolNull: boolean | null;
  @Field(nullable(date)) declare dateNull: Date | null;
  @Field(nullable(COLOUR)) declare colourNull: string | null;
  @Field(nullable(LEVEL)) declare levelNull: number | null;
  @Field(nullable('string')) declare stringNull: string | null;
  @Field(nullable(bytes)) declare bytesNull: Uint8Array | null;
  @Field(nullable(typedArray('Int16Array'))) declare shortsNull: Int16Array | null;

  @Field(embedded(() => FuzzStruct)) declare struct: unknown;
  @Field(nullable(embedded(() => FuzzStruct))) declare structNull: unknown;
  @Field(fixedArray(i16, 5)) declare fixedShorts: unknown;
  @Field(fixedArray('string', 3)) declare fixedStrings: unknown;
  @Field(fixedArray(nullable(u8), 4)) declare fixedMaybe: unknown;
  @Field(fixedArray(() => FuzzNode, 3)) declare fixedNodes: unknown;
  @Field(nullable(fixedArray(nullable('string'), 2))) declare fixedNull: unknown;

  @Field(list(i32)) declare ints: unknown;
  @Field(list('string')) declare strings: unknown;
  @Field(list(() => FuzzNode)) declare nodes: unknown;
  @Field(list(nullable(f64))) declare maybes: unknown;
  @Field(list(bool)) declare bools: unknown;
  @Field(list(bytes)) declare blobs: unknown;
  @Field(list(list('string'))) declare listOfLists: unknown;
  @Field(list(map('string', i32))) declare listOfMaps: unknown;
  @Field(list(nullable(list(u8)))) declare listOfMaybeLists: unknown;
  @Field(nullable(list('string'))) declare listNull: unknown;

  @Field(queue(i32)) declare intQueue: unknown;
  @Field(queue('string')) declare stringQueue: unknown;
  @Field(queue(() => FuzzNode)) declare nodeQueue: unknown;
  @Field(queue(list(i32))) declare queueOfLists: unknown;
  @Field(nullable(queue(nullable(date)))) declare queueNull: unknown;

  @Field(map('string', i32)) declare byString: unknown;
  @Field(map('string', 'string')) declare stringByString: unknown;
  @Field(map(i32, 'string')) declare byInt: unknown;
  @Field(map(u8, nullable('string'))) declare byByte: unknown;
  @Field(map(i16, () => FuzzNode)) declare byShort: unknown;
  @Field(map(u32, u64)) declare byWord: unknown;
  @Field(map(f64, f32)) declare byFloat: unknown;
  @Field(map(f32, nullable(f64))) declare bySingle: unknown;
  @Field(map(i64, bytes)) declare byBig: unknown;
  @Field(map(u64, i8)) declare byUnsignedBig: unknown;
  @Field(map(bool, 'string')) declare byBool: unknown;
  @Field(map(date, date)) declare byDate: unknown;
  @Field(map(COLOUR, LEVEL)) declare byColour: unknown;
  @Field(map(() => FuzzNode, 'string')) declare byNode: unknown;
  @Field(map('string', list('string'))) declare mapOfLists: unknown;
  @Field(map('string', map(i32, queue('string')))) declare mapOfMaps: unknown;
  @Field(nullable(map('string', () => FuzzNode))) declare mapNull: unknown;
}
