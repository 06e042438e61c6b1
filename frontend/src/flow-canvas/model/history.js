// What was done, to be undone. Documents share their unchanged parts, so a step of history costs what it changed.
const MERGE = 1000 // milliseconds in which edits of one field are one step
const MOST = 500

export class History {
  constructor(doc) {
    this.past = []
    this.future = []
    this.present = { doc, why: "", tag: "", at: -Infinity }
  }

  get doc() {
    return this.present.doc
  }

  /** A new document. With a `tag` (the field that is being typed in) it joins the step before, if that was the same field just now. */
  push(doc, why, { tag = "", at = 0 } = {}) {
    const merges = tag && tag === this.present.tag && at - this.present.at < MERGE && this.past.length && !this.future.length
    if (!merges) this.past.push(this.present)
    if (this.past.length > MOST) this.past.shift()
    this.future = []
    this.present = { doc, why, tag, at }
  }

  /** The words for what was undone, or "" if there was nothing. */
  undo() {
    if (!this.past.length) return ""
    const undone = this.present
    this.future.push({ ...undone, tag: "" })
    this.present = { ...this.past.pop(), tag: "" }
    return undone.why
  }

  redo() {
    if (!this.future.length) return ""
    this.past.push(this.present)
    this.present = this.future.pop()
    return this.present.why
  }
}
