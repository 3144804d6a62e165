/** What the pool holds: the places of the world, reached by country code and by name. */
import { Field, f64, list, map, Persistent, type PersistentList, type PersistentMap, u32 } from 'perdure';

@Persistent()
export class City {
  /** Its place in the input, from 0. */
  @Field(u32) declare number: number;
  @Field('string') declare name: string;
  @Field(() => Country) declare country: Country | null;
  @Field(f64) declare latitude: number;
  @Field(f64) declare longitude: number;
}

@Persistent()
export class Country {
  /** ISO 3166, two letters. */
  @Field('string') declare code: string;
  @Field(list(() => City)) declare cities: PersistentList<City>;
}

/** The root of the pool. */
@Persistent()
export class World {
  @Field(u32) declare imported: number;
  @Field(map('string', () => Country)) declare countries: PersistentMap<string, Country>;
  /** Many names are those of several cities. */
  @Field(
    map(
      'string',
      list(() => City),
    ),
  )
  declare byName: PersistentMap<string, PersistentList<City>>;
}

/**
 * How the pool is opened everywhere. A gigabyte of address space is plenty for it; reserving much more makes V8 collect
 * its whole heap at once when the pool is opened, because it counts the mapping as memory.
 */
export const POOL_OPTIONS = { root: World, maxSize: 2 ** 30 } as const;
