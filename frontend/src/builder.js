// The page on which a flow is made: the canvas and its outline in the middle, and what stands around them.
import "./code-field.js"
import "./builder/schema-rows.js"
import { toast } from "./behaviours/toasts.js"
import { Code } from "./builder/code.js"
import { printOf } from "./builder/differences.js"
import { Inspector } from "./builder/inspector.js"
import { intoPanel, keyboard } from "./builder/keyboard.js"
import { Keeping } from "./builder/keeping.js"
import { palette } from "./builder/palette.js"
import { Picker } from "./builder/picker.js"
import { Problems } from "./builder/problems.js"
import { Saving } from "./builder/saving.js"
import { ask } from "./builder/server.js"
import { showStatus } from "./builder/status.js"
import { Tests } from "./builder/tests.js"
import { HANDLER } from "./flow-canvas/model/places.js"

const root = document.getElementById("builder")
const data = JSON.parse(document.getElementById("builder-data").textContent)
const canvas = document.getElementById("canvas")
const base = `/flows/${data.flow}`
const urls = { draft: `${base}/draft`, inspection: `${base}/draft/inspection`, conversion: `${base}/draft/conversion`, values: `${base}/draft/values`, previews: `${base}/draft/previews`, copies: `${base}/copies` }
const phone = matchMedia("(max-width: 959px)")

await customElements.whenDefined("flow-canvas")
canvas.catalogue = data.catalogue
canvas.value = data.document

const keeping = new Keeping(data.person, data.flow)
const saving = new Saving({ url: urls.draft, person: data.person, keeping, revision: data.revision, savedAt: new Date(data.saved_at) })
const picker = new Picker(document.getElementById("data-picker"), { values: () => inspector.values(), changed: () => inspector.preview() })
const inspector = new Inspector(document.getElementById("inspector"), { canvas, urls, readonly: data.readonly, sample: () => picker.sample })
inspector.pick = (control, begun) => picker.open(control, begun)
const problems = new Problems(document.getElementById("dock-problems"), { canvas, readonly: data.readonly, goTo })
const code = new Code(document.getElementById("dock-code"), { canvas, url: urls.conversion, key: `code:${data.person}:${data.flow}`, checked: (found) => check(found.problems) })

const dockTest = document.getElementById("dock-test")
const tests = dockTest && new Tests(dockTest, { flow: data.flow, canvas, saving, goTo, pinned: recheck })

/** Problems and facts of what is stored: where something beside the document has changed. */
async function recheck() {
  const { status, data: found } = await ask(urls.draft)
  if (status === 200) check(found.problems, found.facts)
}

function check(list, facts) {
  problems.show(list)
  inspector.showProblems(list)
  canvas.problems = list
  if (facts) canvas.setFacts(facts)
}

async function goTo(path, words) {
  canvas.select(path ? [path] : [])
  canvas.reveal(path)
  await turn(path)
  root.dataset.sheet = "open"
  inspector.focusField(words)
}

function turn(path) {
  remember("node", path)
  tests?.follow(path === HANDLER ? "" : path)
  return inspector.show(path)
}

function take(doc, why) {
  canvas.value = doc
  history()
  inspector.show("", { again: true })
  code.follow()
  toast(why)
  recheck()
}

function history() {
  root.querySelector("[data-undo]")?.toggleAttribute("disabled", !canvas.canUndo)
  root.querySelector("[data-redo]")?.toggleAttribute("disabled", !canvas.canRedo)
  const starts = document.getElementById("starts")
  if (starts) starts.hidden = Object.keys(canvas.value.steps ?? {}).length > 0 || Boolean(canvas.value.on_error)
  document.getElementById("flow-name").textContent = canvas.value.name || "Untitled"
}

// --- what happens

canvas.addEventListener("change", () => {
  saving.changed(canvas.value)
  history()
  inspector.follow()
  code.follow()
})
canvas.addEventListener("select", (event) => {
  const { paths } = event.detail
  turn(paths.length === 1 ? paths[0] : "")
})
canvas.addEventListener("open", () => (root.dataset.sheet = "open"))
keyboard(root, { canvas, inspector, turn, close: () => openDock("") })
saving.addEventListener("checked", (event) => check(event.detail.problems, event.detail.facts))
showStatus(saving, { take, mine: () => canvas.value, copies: urls.copies })

const adding = data.readonly ? null : palette(document.querySelector(".palette-side"), { canvas, added: (path) => {
  canvas.select([path])
  turn(path).then(() => inspector.focusField(["label"]))
} })

root.addEventListener("click", async (event) => {
  const button = event.target.closest("button, a")
  if (!button) return
  const { viewTo, dock, start } = button.dataset
  if (viewTo) look(viewTo === root.dataset.view ? (viewTo === "outline" ? "canvas" : viewTo) : viewTo)
  else if (dock) {
    const open = root.querySelector(".dock").dataset.open !== dock
    await openDock(open ? dock : "")
    if (open && dock === "test" && !event.detail) intoPanel(dockTest) // a key, not a pointer
  }
  else if (start === "step") adding.focus(), (root.dataset.palette = "open")
  else if (start === "paste") openDock("code"), code.field.focus()
  else if ("undo" in button.dataset) canvas.undo()
  else if ("redo" in button.dataset) canvas.redo()
  else if ("dockClose" in button.dataset) openDock("")
  else if ("inspectorClose" in button.dataset) delete root.dataset.sheet
  else if ("copy" in button.dataset) copy()
  else if ("publish" in button.dataset) publish(event, button)
})

async function copy() {
  const { status, data: made } = await ask(urls.copies, {})
  status === 201 ? location.assign(made.url) : toast(made.message ?? "The copy could not be made.")
}

/** What is published is what is saved: so it is saved first. */
async function publish(event, button) {
  const blocked = button.getAttribute("aria-disabled") === "true"
  if (!blocked && !saving.changes) return
  event.preventDefault()
  if (blocked) return openDock("problems")
  await saving.now()
  if (saving.state === "saved") location.assign(button.href)
}

function look(view) {
  root.dataset.view = view
  for (const each of root.querySelectorAll("[data-view-to]")) each.setAttribute("aria-pressed", String(each.dataset.viewTo === view))
  remember("view", view === "canvas" ? "" : view)
}

async function openDock(name) {
  const dock = root.querySelector(".dock")
  dock.dataset.open = name
  for (const tab of dock.querySelectorAll("[role=tab]")) {
    const isOpen = tab.dataset.dock === name
    tab.setAttribute("aria-selected", String(isOpen))
    tab.tabIndex = isOpen || (!name && tab.dataset.dock === "problems") ? 0 : -1
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !isOpen
  }
  dock.querySelector("[data-dock-close]").hidden = !name
  remember("panel", name)
  name === "code" ? code.show() : code.hide()
  name === "test" ? await tests?.show() : tests?.hide()
}

root.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  const tabs = [...root.querySelectorAll("[role=tab]")]
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
  if (!step) return
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length]
  openDock(next.dataset.dock)
  next.focus()
  event.preventDefault()
})

document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.defaultPrevented) return
  const key = event.key.toLowerCase()
  const typing = event.target.closest?.("input, textarea, select, code-field, dialog")
  if (key === "s") event.preventDefault(), saving.now()
  else if (!typing && key === "z") event.preventDefault(), event.shiftKey ? canvas.redo() : canvas.undo()
  else if (!typing && key === "y") event.preventDefault(), canvas.redo()
})

function remember(name, value) {
  const url = new URL(location.href)
  value ? url.searchParams.set(name, value) : url.searchParams.delete(name)
  if (url.href !== location.href) window.history.replaceState(window.history.state, "", url)
}

// --- where one was

const asked = new URL(location.href).searchParams
check(data.problems, data.facts)
look(asked.get("view") ?? (phone.matches ? "outline" : "canvas"))
if (["problems", "code", ...(tests ? ["test"] : [])].includes(asked.get("panel"))) openDock(asked.get("panel"))
const node = asked.get("node") ?? new URLSearchParams(location.hash.slice(1)).get("step")
if (node) canvas.select([node]), turn(node), requestAnimationFrame(() => requestAnimationFrame(() => canvas.reveal(node)))

if (!data.readonly) {
  const kept = await keeping.open()
  if (kept && JSON.stringify(kept.document) !== JSON.stringify(data.document)) {
    canvas.value = kept.document
    inspector.follow()
    if (kept.revision === data.revision || kept.unheard?.includes(printOf(data.document))) {
      saving.resume(kept)
      toast("What was not saved is back.")
    } else {
      const { data: now } = await ask(urls.draft)
      saving.meet({ document: data.document, revision: data.revision, by: "Somebody", at: data.saved_at, ...(now.document && { document: now.document, revision: now.revision }) }, kept.document, kept.changes)
    }
  } else {
    keeping.drop()
  }
}
history()
root.dataset.ready = ""
