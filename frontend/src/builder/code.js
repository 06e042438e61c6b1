// The flow as YAML, both ways. The server converts, so that the text is what the export gives. While the text cannot be read, its
// lines are marked and the canvas keeps the last flow that could be.
import { latest } from "./server.js"

const PAUSE = 400
const LARGEST = 1 << 20 // characters: a document has at most 1 MiB, as the server reads it

export class Code {
  #convert = latest()
  #timer = 0
  #mine = false

  constructor(panel, { canvas, url, checked, key }) {
    Object.assign(this, { panel, canvas, url, checked, key, open: false, broken: false })
    this.field = panel.querySelector("code-field")
    this.status = panel.querySelector("#code-status")
    this.field.addEventListener("input", () => this.#typed())
  }

  async show() {
    this.open = true
    const left = this.broken ? null : sessionStorage.getItem(this.key)
    if (left !== null) {
      this.field.value = left
      await this.#read()
    } else if (!this.broken) await this.#write()
  }
  hide() {
    this.open = false
  }

  /** After a change of the document that was not typed here. */
  follow() {
    if (this.#mine || !this.open || this.broken) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#write(), PAUSE)
  }

  async #write() {
    const answer = await this.#convert(this.url, { document: this.canvas.value })
    if (answer?.status !== 200) return this.#say("The text cannot be loaded: the server does not answer.", "bad")
    this.field.value = answer.data.text
    this.#say("")
  }

  #typed() {
    clearTimeout(this.#timer)
    const size = this.field.value.length
    if (size > LARGEST) return this.#tooLarge(size)
    sessionStorage.setItem(this.key, this.field.value) // until it can be read: a reload must not lose it
    this.#timer = setTimeout(() => this.#read(), PAUSE)
  }

  async #read() {
    const answer = await this.#convert(this.url, { text: this.field.value })
    if (!answer) return
    const { status, data } = answer
    if (status === 200) {
      this.broken = false
      sessionStorage.removeItem(this.key)
      this.field.mark(data.problems.filter((each) => each.line && each.severity === "error").map(({ line, message }) => ({ line, message })))
      this.#say("")
      this.#mine = true
      if (JSON.stringify(data.document) !== JSON.stringify(this.canvas.value)) this.canvas.replace(data.document, "Edit the text")
      this.#mine = false
      this.checked(data)
    } else if (status === 422) {
      this.broken = true
      const faults = data.problems.map((each, at) => ({ line: data.lines?.[at] ?? 1, message: each.message }))
      this.field.mark(faults)
      const first = data.problems[0]
      this.#say(`${[first?.path, first?.message, first?.mend].filter(Boolean).join(": ")} The canvas keeps the last flow that could be read.`, "bad")
    } else {
      this.#say("The text is not checked: the server does not answer. It is kept here.", "bad")
      this.#timer = setTimeout(() => this.#read(), 4000)
    }
  }

  #tooLarge(size) {
    this.broken = true
    this.#say(`The text has ${(size / 1e6).toFixed(1)} MB, and a document at most 1 MiB: keep data out of it, and give it as input. The canvas keeps the last flow that could be read.`, "bad")
  }

  #say(text, tone = "") {
    this.status.textContent = text
    this.status.dataset.tone = tone
  }
}
