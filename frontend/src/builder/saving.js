// Saves the draft 800 ms after the last change, and says honestly how far it is. `state` is one of
//   saved · waiting · saving · offline · signed-out · conflict · refused
// What is not saved is kept in this browser meanwhile, so that neither a reload nor an expired session loses it.
import { printOf } from "./differences.js"
import { ask } from "./server.js"

const QUIET = 800
const AGAIN = 4000

export class Saving extends EventTarget {
  #timer = 0
  #going = false
  #doc = null
  #unheard = [] // prints of what was sent and is not answered: it may have been saved all the same

  constructor({ url, person, keeping, revision, savedAt }) {
    super()
    Object.assign(this, { url, person, keeping, revision, savedAt, state: "saved", since: null, changes: 0, conflict: null, refusal: null })
    addEventListener("online", () => this.state === "offline" && this.now())
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && ["offline", "signed-out"].includes(this.state)) this.now()
    })
    addEventListener("beforeunload", (event) => this.isLosing && event.preventDefault())
  }

  /** Whether leaving now would lose something: only where the browser can keep nothing. */
  get isLosing() {
    return this.changes > 0 && this.unkept
  }

  changed(doc, changes = this.changes + 1) {
    this.#doc = doc
    this.changes = changes
    this.#keep()
    if (this.state === "conflict") return this.#say("conflict")
    this.#later(QUIET)
    if (this.state === "saved" || this.state === "refused") this.#say("waiting")
  }

  /** Goes on with what an earlier visit had not saved, or does not know to be saved. */
  resume({ document, changes, unheard = [] }) {
    this.#unheard = unheard
    this.changed(document, changes)
  }

  #keep() {
    this.unkept = !this.keeping.keep({ document: this.#doc, revision: this.revision, changes: this.changes, unheard: this.#unheard })
  }

  #later(delay) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.now(), delay)
  }

  async now() {
    clearTimeout(this.#timer)
    if (this.#going || !this.changes || this.state === "conflict") return
    this.#going = true
    const sent = this.#doc
    this.#unheard = [...this.#unheard.slice(-9), printOf(sent)]
    this.#keep()
    if (this.state !== "offline" && this.state !== "signed-out") this.#say("saving")
    const { status, data } = await ask(this.url, { document: sent, revision: this.revision, person: this.person }, { method: "PUT" })
    this.#going = false
    this.#answered(status, data, sent)
  }

  #answered(status, data, sent) {
    if (status === 200) {
      this.#unheard = []
      this.revision = data.revision
      this.savedAt = new Date()
      this.since = null
      this.refusal = null
      const more = this.#doc !== sent
      if (more) {
        this.changes = 1
        this.#keep()
        this.#later(QUIET)
      } else {
        this.changes = 0
        this.keeping.drop()
      }
      this.#say(more ? "waiting" : "saved")
      this.dispatchEvent(new CustomEvent("checked", { detail: data }))
    } else if (status === 409 && this.#unheard.includes(printOf(data.document))) {
      this.revision = data.revision
      this.now()
    } else if (status === 409) {
      this.conflict = data
      this.#say("conflict")
    } else if (status === 401 || status === 403 && !data.slug) {
      this.#say("signed-out")
      this.#later(AGAIN)
    } else if (status >= 400 && status < 500) {
      this.refusal = data
      this.#say("refused")
    } else {
      this.since ??= new Date()
      this.#say("offline")
      this.#later(AGAIN)
    }
  }

  /** Goes on with one's own document on top of what stands there now. */
  overwrite() {
    this.revision = this.conflict.revision
    this.conflict = null
    this.state = "waiting"
    return this.now()
  }

  /** Goes on with what stands there now. */
  discard() {
    const theirs = this.conflict
    this.revision = theirs.revision
    this.savedAt = new Date(theirs.at)
    this.conflict = null
    this.changes = 0
    this.keeping.drop()
    this.#say("saved")
    return theirs.document
  }

  /** What was kept of an earlier visit, on top of a draft that has moved on meanwhile. */
  meet(conflict, doc, changes) {
    this.#doc = doc
    this.changes = changes
    this.conflict = conflict
    this.#say("conflict")
  }

  #say(state) {
    this.state = state
    this.dispatchEvent(new Event("state"))
  }
}
