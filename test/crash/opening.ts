/** Scenarios of creating, opening and closing, and of process deaths with the machine going down soon after. */
import { Field, i32, list, Persistent, type PersistentList } from '../../src/index.js';
import type { Scenario } from './scenario.js';

@Persistent()
export class OpeningRoot {
  @Field(i32) declare first: number;
  @Field(list('string')) declare texts: PersistentList<string>;
}

interface OpeningModel {
  first: number;
  texts: string[];
}

const base = {
  root: OpeningRoot,
  initial: { first: 0, texts: [] },
  read: (root: OpeningRoot): OpeningModel => ({ first: root.first, texts: [...root.texts] }),
};

/** Creating a pool, its first transactions, clean closes, deaths with and without an open transaction. */
export const opening: Scenario<OpeningRoot, OpeningModel> = {
  ...base,
  name: 'creating, opening, closing',
  creates: true,
  steps(run) {
    for (let round = 1; round <= 3; round++) {
      run.commit((root, draft) => {
        root.first = round;
        draft.first = round;
      });
      run.reopen();
      run.commit((root, draft) => {
        root.texts.push(`round ${round}`);
        draft.texts.push(`round ${round}`);
      });
      run.die();
      run.attempt((root) => {
        root.first = -1;
        root.texts.push('never');
      });
      run.die();
      run.reopen();
    }
  },
};

/** The process dies at each fence of a transaction that makes the file grow; then the machine goes down. */
export const dying: Scenario<OpeningRoot, OpeningModel> = {
  ...base,
  name: 'death of the process at each fence',
  read: (root) => ({ first: root.first, texts: [...root.texts].map(summary) }),
  steps(run) {
    for (let number = 1, died = true; died; number++) {
      died = run.dieAt('fence', number, (root, draft) => {
        root.first = number;
        draft.first = number;
        root.texts.length = 0;
        draft.texts.length = 0;
        // A text of more than half a span in each round: the file grows every time.
        const text = String.fromCharCode(97 + number).repeat(33_000 + 16 * number);
        root.texts.push(text);
        draft.texts.push(summary(text));
      });
      run.reopen();
    }
  },
};

function summary(text: string): string {
  const first = text.charAt(0);
  return text === first.repeat(text.length) ? `${text.length} times ${first}` : `mixed ${text.slice(0, 100)}`;
}
