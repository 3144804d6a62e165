/**
 * Ends the current job as far as weak references are concerned. JavaScript keeps the target of every `WeakRef` that was
 * made or read alive until the job ends, and an exploration is one job: a hundred thousand pools would stay in
 * memory. A microtask checkpoint, here that of an empty context with a queue of its own, is where V8 lets go.
 */
import { createContext, Script } from 'node:vm';

const nothing = new Script('0');
let context: ReturnType<typeof createContext> | null = null;

/** Lets the collector have what only weak references hold. No task and no promise of the program runs. */
export function endJob(): void {
  context ??= createContext({}, { microtaskMode: 'afterEvaluate' });
  nothing.runInContext(context);
}
