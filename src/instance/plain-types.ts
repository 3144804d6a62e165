/** The types of plain data that `pool.create` takes. */

type Method = (...args: never[]) => unknown;

/** What may be given for a field of type `V`: a `V`, or plain data of the same shape. */
export type PlainValue<V> =
  | V
  | (V extends Date | Uint8Array | Method | string | number | bigint | boolean | null
      ? never
      : V extends { toMap(): Map<infer K, infer E> }
        ? Iterable<readonly [K, PlainValue<E>]> | Readonly<Record<string, PlainValue<E>>>
        : V extends { toArray(): (infer E)[] }
          ? readonly PlainValue<E>[]
          : V extends Iterable<infer E>
            ? Iterable<PlainValue<E>>
            : V extends object
              ? Plain<V>
              : never);

/** The fields of a `T` as plain data, each optional; methods are left out. */
export type Plain<T> = {
  readonly [K in keyof T as T[K] extends Method ? never : K]?: PlainValue<T[K]>;
};
