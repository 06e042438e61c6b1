// The tab Test: a form that starts tests of the draft, and what became of the newest, which the canvas shows, too. The server renders
// both; the run's live topic says when to look again.
import { announce } from "../live.js"
import { make } from "../behaviours/listen.js"

const SETTLE = 150, WITHOUT_SOCKET = 2000

export class Tests {
  #watch = null
  #timer = 0
  #loaded = false
  #starting = false
  #offers = 0
  #offered = ""
  #form

  constructor(panel, { flow, canvas, saving, goTo, pinned }) {
    Object.assign(this, { panel, canvas, saving, goTo, pinned, open: false, step: "" })
    this.base = `/flows/${flow}`
    this.#form = panel.querySelector("#test-form-side")
    panel.addEventListener("submit", (event) => this.#start(event))
    panel.addEventListener("change", (event) => event.target.name === "models" && this.#offer())
    panel.addEventListener("click", (event) => this.#clicked(event.target.closest("button")))
  }

  async show() {
    this.open = true
    if (!this.#loaded) await this.#load()
    else this.#offer()
  }
  hide() {
    this.open = false
  }
  /** Another step is selected. */
  follow(path) {
    this.step = path
    if (this.open) this.#offer()
  }

  async #load() {
    await this.saving.now()
    const response = await get(`${this.base}/tests`)
    if (!response?.ok) return this.#form.replaceChildren(make("p", { class: "muted" }, "The form cannot be loaded: the server does not answer."))
    this.#form.innerHTML = await response.text()
    this.#loaded = true
    await this.#offer()
  }

  async #offer() {
    const slot = this.panel.querySelector("#test-extents")
    if (!slot) return
    const query = new URLSearchParams({ step: this.step, models: this.panel.querySelector("[name=models]")?.value ?? "simulated" })
    const number = ++this.#offers
    const response = await get(`${slot.dataset.url}?${query}`)
    const text = response?.ok ? await response.text() : null
    // A button that is replaced between press and release hears no click: while one is pressed, and for the same offer, it is left alone.
    while (slot.matches(":active")) await new Promise((released) => setTimeout(released, 50))
    if (number !== this.#offers) return // a later one is on its way
    if (text !== null && (text !== this.#offered || !slot.children.length)) {
      const held = slot.contains(document.activeElement) ? document.activeElement.dataset.testid : ""
      slot.innerHTML = this.#offered = text
      if (held) slot.querySelector(`[data-testid="${held}"]`)?.focus()
    }
    this.panel.querySelector("#test-form [name=step]").value = this.step.match(/^(error\.)?[^.]*/)[0]
  }

  async #start(event) {
    event.preventDefault()
    const form = event.target
    const data = new FormData(form, event.submitter)
    if (this.#starting) return // a button that is disabled would lose the focus
    this.#starting = true
    this.#refused("")
    await this.saving.now()
    const response = await post(form.action, data)
    this.#starting = false
    if (!response) return this.#refused("<p>The server does not answer. Nothing was started.</p>")
    const text = await response.text()
    if (response.status === 202) return this.#shown(text, true)
    if (text.includes('id="test-form"')) {
      this.#form.innerHTML = text
      await this.#offer()
      this.#form.querySelector("[aria-invalid=true]")?.focus()
    } else this.#refused(response.ok || response.status === 409 || response.status === 422 ? text : "<p>You may not test this flow.</p>")
  }
  #refused(html, id = "test-refused") {
    const slot = this.panel.querySelector(`#${id}`)
    if (slot) slot.innerHTML = html
  }

  // --- the result

  #shown(html, isNew = false) {
    const side = this.panel.querySelector("#test-result-side")
    const opened = new Set(isNew ? [] : [...side.querySelectorAll("li:has(> details[open])")].map((each) => each.dataset.path))
    side.innerHTML = html
    const result = side.firstElementChild
    if (isNew) this.canvas.statuses = {}
    for (const step of result.querySelectorAll("[data-step-state]")) {
      if (opened.has(step.dataset.path)) step.querySelector("details").open = true
      this.canvas.setStatus(step.dataset.path, step.dataset.stepState)
    }
    if (isNew) this.#follow(result)
    if (result.dataset.ended !== undefined) {
      this.#stop()
      announce(`Test ${result.dataset.state}`)
      this.#offer()
    }
  }

  #follow({ dataset: { run, seq, url } }) {
    this.#stop()
    this.#url = url
    const address = new URL(`/ws/live?topics=run:${run}&after=${seq}`, location.href)
    address.protocol = address.protocol.replace("http", "ws")
    const watch = (this.#watch = new WebSocket(address))
    watch.addEventListener("message", () => this.#soon(SETTLE))
    this.#poll = setInterval(() => watch.readyState !== WebSocket.OPEN && this.#soon(0), WITHOUT_SOCKET)
    this.#soon(SETTLE)
  }
  #url = ""
  #poll = 0
  #stop() {
    const watch = this.#watch
    this.#watch = null
    if (watch?.readyState === WebSocket.CONNECTING) watch.addEventListener("open", () => watch.close())
    else watch?.close()
    clearInterval(this.#poll)
    clearTimeout(this.#timer)
    this.#timer = 0
  }
  #soon(wait) {
    this.#timer ||= setTimeout(() => this.#look(), wait)
  }
  async #look() {
    const watch = this.#watch
    this.#timer = 0 // what is heard of from here on is looked at once more
    const response = await get(this.#url)
    if (watch !== this.#watch || !watch || !response?.ok) return
    const writes = this.panel.querySelector("#test-result-side :focus")?.matches("textarea")
    writes ? this.#soon(500) : this.#shown(await response.text())
  }

  // --- what is asked, and pins

  async #clicked(button) {
    if (!button) return
    const { go, answer, pin, unpin } = button.dataset
    if (go) this.goTo(go, [])
    else if (answer) this.#answer(button)
    else if (pin) this.#pin(pin, button)
    else if (unpin) this.#pin(unpin, null)
  }
  async #answer(button) {
    for (const each of button.parentElement.children) each.disabled = true
    const response = await post(button.dataset.url, fields({ path: button.dataset.path, outcome: button.dataset.answer }))
    if (response?.ok) this.#shown(await response.text())
    else this.#soon(0)
  }
  async #pin(step, button) {
    const text = button?.dataset.fromText === undefined ? null : button.closest("details").querySelector("[data-edited]").value
    const run = this.panel.querySelector("#test-result").dataset.run
    const response = await post(`${this.base}/pins`, fields({ step, ...(button && { run }), ...(text !== null && { output: text }) }))
    if (response?.status !== 204) return this.#refused(response ? await response.text() : "<p>The server does not answer. Nothing was pinned.</p>", "pin-refused")
    const fresh = await get(this.panel.querySelector("#test-result").dataset.url)
    if (fresh?.ok) this.#shown(await fresh.text())
    this.pinned()
    this.#offer()
  }
}

const headers = () => ({ "X-CSRFToken": document.querySelector("#test-form [name=csrfmiddlewaretoken]").value })

async function get(url) {
  return fetch(url, { credentials: "same-origin" }).catch(() => null)
}
async function post(url, body) {
  return fetch(url, { method: "POST", body, headers: headers(), credentials: "same-origin" }).catch(() => null)
}
function fields(values) {
  const data = new FormData()
  for (const [name, value] of Object.entries(values)) data.set(name, value)
  return data
}
