// <code-field data-lang="yaml | json | template"><textarea>…</textarea></code-field>: the textarea with CodeMirror over it, in a shadow
// root because of the style policy. The textarea stays the truth: it holds the text, and hears `input` and `change` as if it had been
// typed in. Without the script, or until it is loaded, it is what one types in.

export class CodeField extends HTMLElement {
  #editor = null

  connectedCallback() {
    this.area = this.querySelector("textarea")
    if (!this.area || this.shadowRoot) return
    import("./code-field/editor.js").then(({ edit }) => this.isConnected && this.#mount(edit))
  }

  #mount(edit) {
    const focused = document.activeElement === this.area
    const root = this.attachShadow({ mode: "open", delegatesFocus: true })
    const label = this.area.getAttribute("aria-label") ?? this.area.labels?.[0]?.textContent ?? ""
    this.#editor = edit(root, {
      text: this.area.value,
      language: this.dataset.lang,
      label: label.trim(),
      readonly: this.area.readOnly,
      complete: () => this.complete?.() ?? [],
      typed: (text) => {
        this.area.value = text
        this.area.dispatchEvent(new Event("input", { bubbles: true }))
      },
    })
    for (const each of this.area.labels ?? []) each.addEventListener("click", () => this.focus())
    if (focused) this.focus()
    this.dataset.ready = ""
  }

  get value() {
    return this.area.value
  }
  /** Another text, which nobody typed: no event. */
  set value(text) {
    this.area.value = text
    this.#editor?.show(text)
  }
  focus() {
    this.#editor ? this.#editor.focus() : this.area?.focus()
  }
  get focused() {
    return this.#editor ? this.#editor.focused() : document.activeElement === this.area
  }
  /** Puts a text where the caret is. */
  insert(text) {
    if (this.#editor) return this.#editor.insert(text)
    this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end")
    this.area.dispatchEvent(new Event("input", { bubbles: true }))
  }
  /** Marks lines (from 1) with what is wrong there: [{line, message}]. */
  mark(faults) {
    this.#editor?.mark(faults)
  }
}

customElements.define("code-field", CodeField)
