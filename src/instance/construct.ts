/**
 * `new Entry()`: the program's constructor runs, and the object lies in the pool whose transaction is running.
 *
 * The constructor runs on a construction shell, whose accessors forward to the instance, made at the first use
 * (or at the end). So `this.id = 1` in a constructor works, and field initialisers (`count = 0`), which define
 * properties on `this`, are found on the shell afterwards and become the initial values.
 */

import { DeclarationError, ValueError } from '../errors/index.js';
import type { ClassMetadata, ClassOf } from '../layout/index.js';
import { DIRECT, type Handle } from './handle.js';
import type { BoundClass } from './instance-runtime.js';
import { runningRuntime } from './pool-runtime.js';

/** Own field of a construction shell: the instance, once there is one. */
const INSTANCE: unique symbol = Symbol('perdure.instance');

interface Shell {
  [INSTANCE]?: object;
}

const shellClasses = new WeakSet<object>();

/** What the constructor that `@Persistent` returns does. `newTarget` is `new.target`. */
export function construct(metadata: ClassMetadata, args: readonly unknown[], newTarget: ClassOf): object {
  if (newTarget !== metadata.constructor) return constructBase(metadata, args, newTarget);
  const binding = runningRuntime(metadata).bindingFor(metadata);
  binding.shellClass ??= createShellClass(binding);
  const shell = Reflect.construct(metadata.original as never, args, binding.shellClass as never) as Shell;
  const instance = shell[INSTANCE] ?? binding.create();
  // A reference to the shell that escaped from the constructor goes on forwarding.
  shell[INSTANCE] = instance;
  const keys = Object.keys(shell);
  if (keys.length > 0) takeInitialisers(binding, shell, instance, keys);
  return instance;
}

/**
 * An object with its initial values, as `pool.create` and a new root start from: made by the program's constructor where
 * that can be called without arguments, so that initialisers count.
 */
export function createInitial(binding: BoundClass): object {
  const { metadata } = binding.layout;
  return metadata.original.length === 0 ? construct(metadata, [], metadata.constructor) : binding.create();
}

/** `super(...)` of a subclass under construction: runs this level's constructor on the same shell. */
function constructBase(metadata: ClassMetadata, args: readonly unknown[], newTarget: ClassOf): object {
  if (!shellClasses.has(newTarget)) {
    throw new DeclarationError(
      `class ${newTarget.name} extends ${metadata.name}, which is persistent, but is not itself: decorate it with @Persistent()`,
      { className: newTarget.name },
    );
  }
  return Reflect.construct(metadata.original as never, args, newTarget as never);
}

function takeInitialisers(
  binding: BoundClass,
  shell: object,
  instance: object,
  keys: readonly string[],
): void {
  for (const key of keys) {
    const value = (shell as Record<string, unknown>)[key];
    if (!binding.fields.some((field) => field.layout.name === key)) {
      throw new ValueError(
        `${binding.layout.name}.${key} is set by its constructor, but no such @Field is declared`,
        {
          className: binding.layout.name,
          field: key,
        },
      );
    }
    // A field declared without `declare` and without initialiser shows up as undefined.
    if (value !== undefined) Reflect.set(instance, key, value);
  }
}

/** The class whose `prototype` the construction shells of a persistent class have, in one pool. */
function createShellClass(binding: BoundClass): ClassOf {
  const { metadata } = binding.layout;
  const ShellClass = class extends (metadata.original as new (...args: unknown[]) => object) {};
  const instanceOf = (shell: Shell): object => {
    shell[INSTANCE] ??= binding.create();
    return shell[INSTANCE];
  };
  for (const { layout } of binding.fields) {
    Object.defineProperty(ShellClass.prototype, layout.name, {
      configurable: true,
      get(this: Shell) {
        return Reflect.get(instanceOf(this), layout.name);
      },
      set(this: Shell, value: unknown) {
        Reflect.set(instanceOf(this), layout.name, value);
      },
    });
  }
  Object.defineProperties(ShellClass.prototype, {
    constructor: { value: metadata.constructor, configurable: true, writable: true },
    [DIRECT]: {
      get(this: Shell): Handle | undefined {
        return (instanceOf(this) as { [DIRECT]?: Handle })[DIRECT];
      },
    },
    [INSTANCE]: { value: undefined, writable: true, configurable: true },
  });
  shellClasses.add(ShellClass);
  return ShellClass;
}
