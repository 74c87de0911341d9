/** What a browser keeps for the pages. Somebody who has forbidden it has a page that forgets. */

/** '': nothing is kept by this name. */
export function kept(place: 'tab' | 'browser', name: string): string {
  try {
    return storageOf(place).getItem(name) ?? '';
  } catch {
    return '';
  }
}

/** '': forgets it. */
export function keep(place: 'tab' | 'browser', name: string, value: string): void {
  try {
    if (value === '') storageOf(place).removeItem(name);
    else storageOf(place).setItem(name, value);
  } catch {
    // Forbidden, or full.
  }
}

/** Reading the property itself may throw. */
function storageOf(place: 'tab' | 'browser'): Storage {
  return place === 'tab' ? sessionStorage : localStorage;
}
