/** A few questions to the imported world, each with the time it took. */
import { performance } from 'node:perf_hooks';
import type { City, Country, World } from './model.js';

const EARTH_RADIUS_KM = 6371;
const LOOKUPS = 10_000;

/** The answers, one line each. */
export function answerQueries(world: World): string[] {
  return [byName(world), manyLookups(world), ofCountry(world), largest(world), nearest(world)];
}

function byName(world: World): string {
  const [cities, time] = timed(() => world.byName.get('Springfield')?.toArray() ?? []);
  const countries = new Set(cities.map((city) => city.country?.code));
  return `cities called Springfield: ${cities.length}, in ${[...countries].join(', ') || 'no country'}${time}`;
}

function manyLookups(world: World): string {
  const names = [...world.byName.keys()];
  const wanted = Array.from({ length: LOOKUPS }, (_, i) => names[(i * 7919) % names.length] as string);
  const [found, time] = timed(() => {
    let count = 0;
    for (const name of wanted) count += world.byName.get(name)?.length ?? 0;
    return count;
  });
  return `${format(LOOKUPS)} lookups by name: ${format(found)} cities${time}`;
}

function ofCountry(world: World): string {
  const [names, time] = timed(() => world.countries.get('IS')?.cities.map((city) => city.name) ?? []);
  return `cities of Iceland: ${names.length}, from ${names[0]} to ${names.at(-1)}${time}`;
}

function largest(world: World): string {
  const [countries, time] = timed(() =>
    [...world.countries.values()].sort((a, b) => b.cities.length - a.cities.length).slice(0, 5),
  );
  const describe = (country: Country) => `${country.code} ${format(country.cities.length)}`;
  return `countries with the most cities: ${countries.map(describe).join(', ')}${time}`;
}

/** A scan of all cities: the model has no index of places. */
function nearest(world: World): string {
  const from = { latitude: 0, longitude: 0 };
  const [best, time] = timed(() => {
    let found: { readonly city: City; readonly km: number } | null = null;
    for (const country of world.countries.values()) {
      for (const city of country.cities) {
        const km = distanceKm(from, city);
        if (found === null || km < found.km) found = { city, km };
      }
    }
    return found;
  });
  const answer =
    best === null ? 'none' : `${best.city.name}, ${best.city.country?.code}, ${best.km.toFixed(0)} km`;
  return `nearest city to 0 N 0 E: ${answer}${time}`;
}

interface Place {
  readonly latitude: number;
  readonly longitude: number;
}

/** Great-circle distance (haversine). */
function distanceKm(a: Place, b: Place): number {
  const radians = Math.PI / 180;
  const { latitude, longitude } = b;
  const half = (degrees: number) => Math.sin((degrees * radians) / 2) ** 2;
  const h =
    half(latitude - a.latitude) +
    Math.cos(a.latitude * radians) * Math.cos(latitude * radians) * half(longitude - a.longitude);
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(h));
}

function timed<T>(query: () => T): [result: T, time: string] {
  const start = performance.now();
  const result = query();
  return [result, ` (${(performance.now() - start).toFixed(2)} ms)`];
}

function format(count: number): string {
  return count.toLocaleString('en-US');
}
