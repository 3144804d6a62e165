/**
 * A linked list that outlives the process: `npm run example:linked-list [-- folder]`. Appends one entry in a
 * transaction and prints the list; each run on the same folder prints one entry more.
 */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Field, i32, map, Persistent, type PersistentMap, Pool } from 'perdure';

@Persistent()
class Entry {
  @Field(i32) declare id: number;
  @Field('string') declare name: string;
  @Field(() => Entry) declare next: Entry | null;
}

@Persistent()
class Root {
  @Field(() => Entry) declare head: Entry | null;
  @Field(() => Entry) declare tail: Entry | null;
  @Field(map('string', () => Entry)) declare byName: PersistentMap<string, Entry>;
}

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'perdure-linked-list-'));
mkdirSync(folder, { recursive: true });

// Creates the pool or opens it; recovers it if the last process died.
using pool = Pool.open(join(folder, 'list.pool'), { root: Root });
const root = pool.root(Root);

pool.txn(() => {
  const entry = new Entry(); // allocated in the pool, because a transaction is running
  entry.id = root.byName.size;
  entry.name = `entry ${entry.id}`;
  if (root.tail === null) root.head = entry;
  else root.tail.next = entry;
  root.tail = entry;
  root.byName.set(entry.name, entry);
});

for (let entry = root.head; entry !== null; entry = entry.next) console.log(`${entry.id}: ${entry.name}`);
console.log(`the list is in ${folder}; give that folder as the argument to append to it again`);
