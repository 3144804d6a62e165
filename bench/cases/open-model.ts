/** The objects of the reopening cases. */
import { Field, i32, list, Persistent, type PersistentList } from 'perdure';

@Persistent({ access: 'direct' })
export class Item {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
}

@Persistent()
export class Root {
  @Field(list(() => Item)) declare items: PersistentList<Item>;
}

/** Up to 1 GiB, reserving address space does not make V8 collect garbage at once (docs/internals/performance.md). */
export const OPEN_OPTIONS = { emulate: true, maxSize: 2 ** 30 } as const;
