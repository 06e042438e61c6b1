// What is not saved yet, kept in this browser: one entry a tab, so that two tabs never overwrite each other's. A tab holds a lock
// of its entry's name; an entry whose lock nobody holds was left behind, and the next tab on the same flow takes it up.

const PATIENCE = 3000 // ms; a page that is reloaded holds its lock until it is gone, which may be after its successor began

export class Keeping {
  constructor(person, flow) {
    this.prefix = `draft:${person}:${flow}:`
  }

  /** Takes a name, and gives what this tab or one that is gone had not saved: `{document, revision, changes}` or null. */
  async open() {
    const mine = sessionStorage.getItem(this.prefix)
    const left = Object.keys(localStorage).filter((name) => name.startsWith(this.prefix) && name !== mine)
    const kept = mine && localStorage.getItem(mine) !== null
    const fresh = this.prefix + crypto.getRandomValues(new Uint32Array(2)).join("")
    for (const name of [kept && mine, ...left, mine, fresh].filter(Boolean)) {
      this.name = name
      if (await hold(name, kept && name === mine ? PATIENCE : 0)) break
    }
    sessionStorage.setItem(this.prefix, this.name)
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

/** Holds the lock as long as this page lives; false where another still does after `patience` ms. Without locks (plain HTTP) all are free. */
function hold(name, patience) {
  if (!navigator.locks) return true
  const options = patience ? { signal: AbortSignal.timeout(patience) } : { ifAvailable: true }
  return new Promise((resolve) => {
    const held = (lock) => {
      resolve(Boolean(lock))
      return lock && new Promise(() => {})
    }
    navigator.locks.request(name, options, held).catch(() => resolve(false))
  })
}
