// The ways of the keyboard between canvas, form and dock: Enter on a step leads to its form, Escape back to the step.

/** `turn(path)` loads a step's form; `close()` closes the dock. */
export function keyboard(root, { canvas, inspector, turn, close }) {
  canvas.addEventListener("open", async (event) => {
    await turn(event.detail.path)
    inspector.focusField(["label"])
  })
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || event.target.closest("dialog")) return
    const dock = event.target.closest(".dock")
    if (!dock && !event.target.closest(".inspector, .palette-side")) return
    event.preventDefault()
    if (dock) close()
    delete root.dataset.sheet
    document.activeElement.blur() // what was typed becomes final first: a name may give the step another key
    canvas.focusNode(inspector.path || canvas.current)
  })
}

/** Where a panel was opened by a key, the focus goes on in it. */
export const intoPanel = (panel) => panel.querySelector("input:not([type=hidden]), select, textarea, button")?.focus()
