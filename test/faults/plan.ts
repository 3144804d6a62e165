/** Which calls are made to fail, and how: all of them, or a sample that can be repeated from its seed. */
import { constants } from 'node:os';
import type { Random } from '../../src/testing/index.js';

/** A line of the trace. */
export interface Call {
  readonly number: number;
  readonly name: string;
  readonly file: string;
  /** What the shim made of it, if anything. */
  readonly fate: 'failed' | 'short' | null;
}

/** A way for calls to go wrong. */
export interface FaultKind {
  readonly name: string;
  /** 0: half of the bytes are moved. */
  readonly errno: number;
  /** The calls that it fits. */
  readonly calls: readonly string[];
  readonly once: boolean;
  readonly always: boolean;
  /** The program is not to notice. */
  readonly harmless: boolean;
}

const WRITES = ['write', 'writev', 'pwrite', 'pwritev'];
const READS = ['read', 'pread', 'preadv'];
const SYNCS = ['fsync', 'fdatasync', 'msync', 'sync_file_range'];
const SIZES = ['ftruncate', 'fallocate'];
const NAMES = ['link', 'rename', 'unlink'];

const { EIO, ENOSPC, ENOMEM, EMFILE, EINTR, EOPNOTSUPP } = constants.errno;
const damage = { once: true, always: true, harmless: false };

export const FAULT_KINDS: readonly FaultKind[] = [
  { name: 'EIO', errno: EIO, calls: [...WRITES, ...READS, ...SYNCS, ...SIZES, ...NAMES, 'open'], ...damage },
  { name: 'ENOSPC', errno: ENOSPC, calls: [...WRITES, ...SYNCS, ...SIZES, 'link', 'rename'], ...damage },
  { name: 'ENOMEM', errno: ENOMEM, calls: ['mmap', 'mremap', 'madvise'], ...damage },
  { name: 'EMFILE', errno: EMFILE, calls: ['open'], ...damage },
  { name: 'half', errno: 0, calls: [...WRITES, ...READS], once: true, always: true, harmless: true },
  { name: 'EINTR', errno: EINTR, calls: [...WRITES, 'fallocate'], once: true, always: false, harmless: true },
  { name: 'EOPNOTSUPP', errno: EOPNOTSUPP, calls: ['fallocate'], once: false, always: true, harmless: true },
];

/** One run: the first call from this number on that the kind fits fails so, and with `keep` all such calls after it. */
export interface FaultCase {
  readonly at: number;
  readonly kind: FaultKind;
  readonly keep: boolean;
  /** What the call was in the run without faults. */
  readonly call: Call;
}

export function describeCase({ at, kind, keep, call }: FaultCase): string {
  return `call ${at} (${call.name} of ${call.file}): ${kind.name}${keep ? ' from then on' : ' once'}`;
}

export function allCases(calls: readonly Call[]): FaultCase[] {
  return calls.flatMap((call) =>
    FAULT_KINDS.filter((kind) => kind.calls.includes(call.name)).flatMap((kind) => [
      ...(kind.once ? [{ at: call.number, kind, keep: false, call }] : []),
      ...(kind.always ? [{ at: call.number, kind, keep: true, call }] : []),
    ]),
  );
}

/** So many of the cases, in random order: one of every sort of call and fault, then a second of each, and so on. */
export function sampleCases(cases: readonly FaultCase[], count: number, random: Random): FaultCase[] {
  const shuffled = [...cases];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [shuffled[i], shuffled[j]] = [shuffled[j] as FaultCase, shuffled[i] as FaultCase];
  }
  const seen = new Map<string, number>();
  const rounds: FaultCase[][] = [];
  for (const each of shuffled) {
    const sort = `${each.call.name} ${each.call.file} ${each.kind.name} ${each.keep}`;
    const round = seen.get(sort) ?? 0;
    seen.set(sort, round + 1);
    rounds[round] ??= [];
    rounds[round].push(each);
  }
  return rounds.flat().slice(0, count);
}

/** Whether the program must be told: what it wrote may be lost. No room for more is another matter. */
export function isLoss(call: Call, kind: FaultKind): boolean {
  if (call.fate !== 'failed') return false;
  return (
    ['fsync', 'fdatasync', 'msync'].includes(call.name) || (kind.name === 'EIO' && WRITES.includes(call.name))
  );
}
