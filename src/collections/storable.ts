/** The types of values that programs hand to containers. */

/**
 * What may be stored where a `T` is read: a `T`, and for a container its contents as plain data, which are copied. So
 * `map.set('a', [])` is right for a `PersistentMap<string, PersistentList<number>>`.
 */
export type Storable<T> =
  | T
  | (T extends { toMap(): Map<infer K, infer V> }
      ? Iterable<readonly [K, Storable<V>]>
      : T extends { toArray(): (infer E)[] }
        ? readonly Storable<E>[]
        : never);
