// Replaces a method by one that can look first and then call the original.

/** Any function, called with its own `this`. */
export type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Puts `makeWrapper(original)` in the place of `owner[name]`. Flags of the property and properties of the function (its
 * name, its own promisified form) stay as they were. Does nothing when there is no such method.
 */
export function wrapMethod(owner: object, name: string, makeWrapper: (original: Method) => Method): void {
  const property = Object.getOwnPropertyDescriptor(owner, name);
  if (property === undefined || !isMethod(property.value)) return;
  const wrapper = makeWrapper(property.value);
  Object.defineProperties(wrapper, Object.getOwnPropertyDescriptors(property.value));
  Object.defineProperty(owner, name, { ...property, value: wrapper });
}

export function isMethod(value: unknown): value is Method {
  return typeof value === "function";
}

/** `value[name]` for a value of unknown shape; `undefined` when it has none. */
export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

export function textField(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === "string" && found !== "" ? found : undefined;
}

/** A port given as a number or as text. */
export function portField(value: unknown, name: string): number | string | undefined {
  const found = field(value, name);
  return typeof found === "number" || (typeof found === "string" && found !== "") ? found : undefined;
}
