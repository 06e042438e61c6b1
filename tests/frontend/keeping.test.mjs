// What a tab had not saved comes back to it: node --test tests/frontend
import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { Keeping } from "../../frontend/src/builder/keeping.js"

const MINE = "draft:ann:refund:1", OTHER = "draft:ann:refund:2"

/** The part of a browser's storage that is used; its entries are its own properties, as there. */
const storage = (entries) => Object.defineProperties({ ...entries }, {
  getItem: { value(name) { return this[name] ?? null } },
  setItem: { value(name, text) { this[name] = text } },
  removeItem: { value(name) { delete this[name] } },
})

/** Locks as the Web Locks API has them: granted at once, when they become free, or not at all. */
function locks(held) {
  const taken = new Set(held), waiting = new Map()
  return {
    release(name) {
      taken.delete(name)
      waiting.get(name)?.()
    },
    async request(name, { signal, ifAvailable }, callback) {
      if (taken.has(name)) {
        if (ifAvailable) return callback(null)
        await new Promise((resolve, reject) => {
          waiting.set(name, resolve)
          signal.addEventListener("abort", () => reject(signal.reason))
        })
      }
      taken.add(name)
      return callback({ name })
    },
  }
}

beforeEach(() => {
  globalThis.localStorage = storage({ [MINE]: '{"changes":1}', [OTHER]: '{"changes":2}' })
  globalThis.sessionStorage = storage({ "draft:ann:refund:": MINE })
})

function browser(held) {
  const made = locks(held)
  Object.defineProperty(globalThis, "navigator", { value: { locks: made }, configurable: true })
  return made
}

test("a page that is reloaded gets its own entry, though its predecessor lets go of it only now", async () => {
  const made = browser([MINE])
  const opened = new Keeping("ann", "refund").open()
  setTimeout(() => made.release(MINE), 20)

  assert.deepEqual(await opened, { changes: 1 })
})

test("a tab takes up what another left behind, and never what another holds", async () => {
  delete localStorage[MINE]
  browser([])
  assert.deepEqual(await new Keeping("ann", "refund").open(), { changes: 2 })

  sessionStorage.setItem("draft:ann:refund:", MINE)
  browser([MINE, OTHER])
  const keeping = new Keeping("ann", "refund")
  assert.equal(await keeping.open(), null)
  assert.ok(![MINE, OTHER].includes(keeping.name))
})
