// What is not saved yet, kept in this browser: one entry a tab, so that two tabs never overwrite each other's. A tab holds a lock
// of its entry's name; an entry whose lock nobody holds was left behind, and the next tab on the same flow takes it up.

export class Keeping {
  constructor(person, flow) {
    this.prefix = `draft:${person}:${flow}:`
  }

  /** Takes a name, and gives what this tab or one that is gone had not saved: `{document, revision, changes}` or null. */
  async open() {
    const held = new Set(((await navigator.locks?.query())?.held ?? []).map((lock) => lock.name))
    const mine = sessionStorage.getItem(this.prefix)
    const free = (name) => name && !held.has(name)
    const left = Object.keys(localStorage).filter((name) => name.startsWith(this.prefix) && free(name))
    this.name = free(mine) ? mine : (left[0] ?? this.prefix + crypto.getRandomValues(new Uint32Array(2)).join(""))
    if (free(mine) && !localStorage.getItem(mine) && left.length) this.name = left[0]
    sessionStorage.setItem(this.prefix, this.name)
    navigator.locks?.request(this.name, () => new Promise(() => {}))
    try {
      return JSON.parse(localStorage.getItem(this.name))
    } catch {
      return null
    }
  }

  /** Whether it could be kept. */
  keep(what) {
    try {
      localStorage.setItem(this.name, JSON.stringify(what))
      return true
    } catch {
      return false
    }
  }

  drop() {
    localStorage.removeItem(this.name)
  }
}
