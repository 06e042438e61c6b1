// The controls of the canvas: everything that a key does is here, too.
import { button, make } from "./dom.js"

export function toolbar(canvas) {
  const acts = {
    undo: button("Undo", "undo", { "data-act": "undo", title: "Undo (Ctrl Z)" }),
    redo: button("Redo", "redo", { "data-act": "redo", title: "Redo (Ctrl Y)" }),
    insert: button("Add a step", "plus", { "data-act": "insert", title: "Add a step (N)" }),
    link: button("Connect the step", "link", { "data-act": "link", title: "Connect the step (L)" }),
    fails: button("Add a step for when a run fails", "warning", { "data-act": "fails", title: "Add a step for when a run fails (E)" }),
    remove: button("Delete", "trash", { "data-act": "remove", title: "Delete (Delete)" }),
    layout: button("Lay out", "layout", { "data-act": "layout" }),
    search: button("Search this flow", "search", { "data-act": "search", title: "Search this flow (/)" }),
    out: button("Zoom out", "minus", { "data-act": "out", title: "Zoom out (−)" }),
    fit: button("Zoom to fit", "fit", { "data-act": "fit", title: "Zoom to fit (0)" }),
    in: button("Zoom in", "zoom-in", { "data-act": "in", title: "Zoom in (+)" }),
  }
  const does = {
    ...{ undo: () => canvas.undo(), redo: () => canvas.redo(), insert: () => canvas.insertMenu(), link: () => canvas.linkMenu(), fails: () => canvas.handlerMenu(), remove: () => canvas.removeChosen() },
    ...{ layout: () => canvas.layout(), search: () => canvas.openSearch(), out: () => canvas.zoom(1 / 1.3), fit: () => canvas.fit(), in: () => canvas.zoom(1.3) },
  }
  const edits = make("span", { class: "fc-tools-edit" }, acts.insert, acts.link, acts.fails, acts.remove, make("hr"), acts.undo, acts.redo, make("hr"), acts.layout)
  const element = make("div", { class: "fc-tools nopan", role: "toolbar", "aria-label": "Canvas" }, edits, acts.search, make("hr"), acts.out, acts.fit, acts.in)
  element.addEventListener("click", (event) => does[event.target.closest("[data-act]")?.dataset.act]?.())
  const off = (act, is) => (act.setAttribute("aria-disabled", String(is)))
  const render = () => {
    edits.hidden = canvas.readonly
    off(acts.undo, !canvas.canUndo)
    off(acts.redo, !canvas.canRedo)
  }
  render()
  return { element, render }
}
