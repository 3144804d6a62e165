/**
 * The registry of layouts: which classes a pool knows, kept in the pool as a chain of layout records. Read when
 * the pool is opened; a class is added in the first transaction that creates one of its objects.
 */
import { CorruptionError, SchemaError } from '../errors/index.js';
import {
  ANCHORS,
  FIRST_CLASS_LAYOUT,
  GRANULE_BYTES,
  LAYOUT_ID,
  LAYOUT_RECORD,
  LAYOUT_RECORD_BYTES,
  offsetOf,
  REGION,
  type Ref,
} from '../format/index.js';
import type { TxnParticipant } from '../heap/index.js';
import type { LayoutRegistry, PoolRuntime } from '../instance/index.js';
import { type ClassOf, classesNamed, type Layout, layoutOf } from '../layout/index.js';

interface Record {
  readonly ref: Ref;
  readonly name: string;
  readonly low: number;
  readonly high: number;
}

const ANCHOR_WORDS = REGION.anchors.offset / 4;
const MAX_LAYOUTS = 65_536;

export class LayoutRecords implements LayoutRegistry {
  readonly #runtime: () => PoolRuntime;
  /** By layout id - FIRST_CLASS_LAYOUT. */
  readonly #records: Record[] = [];
  readonly #idByName = new Map<string, number>();
  /** Records that no rollback takes back. */
  #committed = 0;
  readonly #participant: TxnParticipant = {
    mark: () => this.#records.length,
    rolledBackTo: (mark) => this.#forget(Math.max(mark, this.#committed)),
    ended: (committed) => {
      if (committed) this.#committed = this.#records.length;
      else this.#forget(this.#committed);
    },
  };

  /** @param runtime the pool's runtime, which does not exist yet when its registry is made */
  constructor(runtime: () => PoolRuntime) {
    this.#runtime = runtime;
  }

  /** Reads the records of a recovered pool. @throws CorruptionError */
  load(): void {
    const { views, strings } = this.#runtime();
    const { u32 } = views;
    const count = u32[ANCHOR_WORDS + ANCHORS.layoutCount.offset / 4] as number;
    let ref = u32[ANCHOR_WORDS + ANCHORS.layouts.offset / 4] as Ref;
    if (count > MAX_LAYOUTS) throw this.#corrupt(`${count} layout records`, REGION.anchors.offset);
    for (let id = FIRST_CLASS_LAYOUT + count - 1; id >= FIRST_CLASS_LAYOUT; id -= 1) {
      const word = (field: { readonly offset: number }): number => u32[ref * 4 + field.offset / 4] as number;
      if (!this.#isRecord(ref) || word(LAYOUT_RECORD.layoutId) !== id) {
        throw this.#corrupt(`no record of layout ${id}`, offsetOf(ref));
      }
      const name = strings.read(this.#stringRef(word(LAYOUT_RECORD.name)));
      this.#records[id - FIRST_CLASS_LAYOUT] = {
        ref,
        name,
        low: word(LAYOUT_RECORD.fingerprintLow),
        high: word(LAYOUT_RECORD.fingerprintHigh),
      };
      this.#idByName.set(name, id);
      ref = word(LAYOUT_RECORD.next) as Ref;
    }
    if (ref !== 0 || this.#idByName.size !== count)
      throw this.#corrupt(`more than ${count} layout records`, offsetOf(ref));
    this.#committed = count;
  }

  idOf(layout: Layout): number {
    const id = this.#idByName.get(layout.name);
    if (id === undefined) return 0;
    const record = this.#records[id - FIRST_CLASS_LAYOUT] as Record;
    if (record.low !== layout.fingerprint[0] || record.high !== layout.fingerprint[1]) {
      throw this.#mismatch(layout, record);
    }
    return id;
  }

  register(layout: Layout): number {
    const { views, heap, writer, strings } = this.#runtime();
    const { u32 } = views;
    const id = FIRST_CLASS_LAYOUT + this.#records.length;
    if (this.#records.length >= MAX_LAYOUTS)
      throw new SchemaError(`a pool holds at most ${MAX_LAYOUTS} classes`);
    const ref = heap.allocate(LAYOUT_RECORD_BYTES, LAYOUT_ID.layoutRecord, 0);
    const set = (field: { readonly offset: number }, value: number): void => {
      u32[ref * 4 + field.offset / 4] = value;
    };
    set(LAYOUT_RECORD.next, u32[ANCHOR_WORDS + ANCHORS.layouts.offset / 4] as number);
    set(LAYOUT_RECORD.layoutId, id);
    set(LAYOUT_RECORD.fingerprintLow, layout.fingerprint[0]);
    set(LAYOUT_RECORD.fingerprintHigh, layout.fingerprint[1]);
    set(LAYOUT_RECORD.descriptor, strings.create(layout.descriptor));
    set(LAYOUT_RECORD.name, strings.create(layout.name));
    if (this.#records.length === this.#committed) this.#runtime().txn.enlist(this.#participant);
    writer.snapshot(REGION.anchors.offset / GRANULE_BYTES, 1);
    u32[ANCHOR_WORDS + ANCHORS.layouts.offset / 4] = ref;
    u32[ANCHOR_WORDS + ANCHORS.layoutCount.offset / 4] = this.#records.length + 1;
    this.#records.push({ ref, name: layout.name, low: layout.fingerprint[0], high: layout.fingerprint[1] });
    this.#idByName.set(layout.name, id);
    return id;
  }

  classOf(layoutId: number): ClassOf {
    const { path } = this.#runtime();
    const record = this.#records[layoutId - FIRST_CLASS_LAYOUT];
    if (record === undefined) throw this.#corrupt(`an object has layout ${layoutId}, which is unknown`, 0);
    const candidates = [...classesNamed(record.name)];
    const [only] = candidates;
    if (only !== undefined && candidates.length === 1) return only.constructor;
    const fitting = candidates.filter((candidate) => {
      const { fingerprint } = layoutOf(candidate.constructor);
      return fingerprint[0] === record.low && fingerprint[1] === record.high;
    });
    if (fitting.length === 1 && fitting[0] !== undefined) return fitting[0].constructor;
    const problem =
      candidates.length === 0 ? 'which the program has not declared' : 'a name that several classes have';
    throw new SchemaError(
      `pool ${path} holds objects of class ${record.name}, ${problem}: import the class and pass it with Pool.open(path, { classes: [${record.name}] })`,
      { path, className: record.name },
    );
  }

  /** The refs that records own, for check and collector. */
  trace(owned: (ref: Ref) => void): void {
    const { u32 } = this.#runtime().views;
    for (const { ref } of this.#records) {
      owned(ref);
      owned(u32[ref * 4 + LAYOUT_RECORD.descriptor.offset / 4] as Ref);
      owned(u32[ref * 4 + LAYOUT_RECORD.name.offset / 4] as Ref);
    }
  }

  get countRecords(): number {
    return this.#records.length;
  }

  #forget(count: number): void {
    for (const { name } of this.#records.splice(count)) this.#idByName.delete(name);
    this.#runtime().forgetLayouts(FIRST_CLASS_LAYOUT + count);
  }

  #isRecord(ref: Ref): boolean {
    const { views, heap } = this.#runtime();
    return (
      heap.isBlock(ref) &&
      heap.blockBytes(ref) >= LAYOUT_RECORD_BYTES &&
      views.u32[ref * 4] === LAYOUT_ID.layoutRecord
    );
  }

  #stringRef(word: number): Ref {
    const ref = word as Ref;
    if (!this.#runtime().heap.isBlock(ref))
      throw this.#corrupt('a layout record without its strings', offsetOf(ref));
    return ref;
  }

  #corrupt(what: string, offset: number): CorruptionError {
    const { path } = this.#runtime();
    return new CorruptionError(`${path}: ${what} (offset ${offset})`, { path, offset });
  }

  #difference(stored: string, layout: Layout, record: Record): string {
    try {
      return describeDifference(stored, layout.descriptor);
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
      throw this.#corrupt(`the description of class ${record.name} cannot be read`, offsetOf(record.ref));
    }
  }

  #mismatch(layout: Layout, record: Record): SchemaError {
    const { views, strings, path } = this.#runtime();
    const stored = views.u32[record.ref * 4 + LAYOUT_RECORD.descriptor.offset / 4] as number;
    const difference = this.#difference(strings.read(this.#stringRef(stored)), layout, record);
    return new SchemaError(
      `class ${layout.name} differs from the one that pool ${path} was written with: ${difference}. ` +
        'Open the pool with the class as it was, or create a new pool',
      { path, className: layout.name },
    );
  }
}

interface Descriptor {
  readonly bases: readonly string[];
  readonly fields: readonly { readonly name: string; readonly type: string; readonly offset: number }[];
}

function describeDifference(storedJson: string, currentJson: string): string {
  const stored = JSON.parse(storedJson) as Descriptor;
  const current = JSON.parse(currentJson) as Descriptor;
  for (const field of stored.fields) {
    const now = current.fields.find((candidate) => candidate.name === field.name);
    if (now === undefined) return `field ${field.name} (${field.type}) is no longer declared`;
    if (now.type !== field.type) return `field ${field.name} was ${field.type} and is now ${now.type}`;
  }
  for (const field of current.fields) {
    if (!stored.fields.some((candidate) => candidate.name === field.name))
      return `field ${field.name} (${field.type}) is new`;
  }
  if (stored.bases.join() !== current.bases.join()) return 'its base classes changed';
  return 'the order of its fields changed';
}
