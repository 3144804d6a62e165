/**
 * The public names: each has a doc comment, and the lists are pinned, so that a change of what programs may import
 * is made on purpose.
 */
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { read } from './source-files.js';

const PERDURE = `
  Access AsyncTxnError BackgroundWriter BytesType CheckReport ClassOf CorruptionError DeclarationError Domain Durability EmbeddedType
  EmulateOptions EnumType ErrorCode ErrorDetails Field FieldType FixedArray FixedArrayType ForeignObjectError
  HeapStats IoError ListType LogKind MapType Memory MemoryBackend MemoryInfo MemoryOpenOptions NamedRoots Offset
  PerdureError PersistCounters Persistent PersistentList PersistentMap PersistentOptions PersistentQueue
  Plain PlainValue PoisonedError Pool PoolClosedError PoolFullError PoolOpenError PoolOptions PoolStats QueueType RecordWriter
  RecoveryResult Ref RefType STEP ScalarType SchemaError StaleObjectError Step Storable StringType TxnRequiredError
  TypeSpec TypedArrayName TypedArrayType ValueError bool bytes date embedded enumOf f32 f64 fixedArray i16 i32
  i64 i8 list map nullable queue ref string toPlain typedArray u16 u32 u64 u8
  WalAccess WalFile WalOpenOptions WalRecordWriter WalStats WriteAheadLog
`;

const TESTING = `
  ChosenUnit CrashContext CrashImage CrashImageOptions CrashPosition CrashReport CrashViolation DirtyUnit ExploreOptions
  Fault FaultyOperation InjectedFault InstantKind MediumObserver NestedCrashOptions Random Scratch SimulatedMedium
  SimulatedMediumOptions WorkloadLog assertCrashSafe countImages crashImages exploreCrashes mixSeeds
`;

interface Declaration {
  readonly file: string;
  /** Text before the declaration. */
  readonly before: string;
}

/** The exports of a file below src/, those that it passes on from others included. */
function exportsOf(file: string): Map<string, Declaration> {
  const text = read(`src/${file}`);
  const found = new Map<string, Declaration>();
  const own =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:class|function\*?|const|let|interface|type|enum) (\w+)/gm;
  for (const match of text.matchAll(own)) {
    const name = match[1] as string;
    if (!found.has(name)) found.set(name, { file, before: text.slice(0, match.index) });
  }
  const passedOn = /^export (?:type )?(\*|\{[^}]*\}) from '([^']+)'/gm;
  for (const [, what, specifier] of text.matchAll(passedOn)) {
    const target = posix.join(posix.dirname(file), specifier as string).replace(/\.js$/, '.ts');
    const available = exportsOf(target);
    const names =
      what === '*'
        ? [...available.keys()]
        : (what as string)
            .slice(1, -1)
            .split(',')
            .map((name) => name.trim().replace(/^type /, ''))
            .filter((name) => name !== '');
    for (const name of names) {
      const declaration = available.get(name);
      if (declaration === undefined)
        throw new Error(`src/${file} exports ${name}, which ${target} does not have`);
      found.set(name, declaration);
    }
  }
  return found;
}

const words = (text: string): string[] => text.trim().split(/\s+/).sort();

/** Whether the last thing before a declaration, line comments aside, is a doc comment other than the file's header. */
function isDocumented({ before }: Declaration): boolean {
  const text = before.replace(/(\s*\/\/[^\n]*)+\s*$/, '').trimEnd();
  if (!text.endsWith('*/')) return false;
  const start = text.lastIndexOf('/**');
  return start > 0 && text.slice(start).indexOf('*/') === text.length - start - 2;
}

describe.each([
  ['perdure', 'index.ts', PERDURE],
  ['perdure/testing', 'testing/index.ts', TESTING],
] as const)('%s', (_name, file, pinned) => {
  const exported = exportsOf(file);

  it('exports the names that are listed here', () => {
    expect([...exported.keys()].sort()).toEqual(words(pinned));
  });

  it('says of each what it is', () => {
    const bare = [...exported].filter(([, declaration]) => !isDocumented(declaration)).map(([name]) => name);
    expect(bare).toEqual([]);
  });
});
