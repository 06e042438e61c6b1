// CodeMirror for <code-field>, loaded when the first one is shown.
import { autocompletion, startCompletion } from "@codemirror/autocomplete"
import { yaml } from "@codemirror/lang-yaml"
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language"
import { setDiagnostics } from "@codemirror/lint"
import { EditorState, Transaction } from "@codemirror/state"
import { Decoration, EditorView, MatchDecorator, ViewPlugin } from "@codemirror/view"
import { tags } from "@lezer/highlight"
import { basicSetup, minimalSetup } from "codemirror"

const look = EditorView.theme({
  "&": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--control)", borderRadius: "var(--radius)", font: "var(--text-code)", maxHeight: "var(--code-height, 320px)", minHeight: "var(--code-least, 36px)" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-1px" },
  ".cm-scroller": { font: "inherit", overflow: "auto" },
  ".cm-content": { padding: "7px 0", caretColor: "var(--text)" },
  ".cm-line": { padding: "0 10px" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--text-3)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--text) 4%, transparent)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { backgroundColor: "var(--accent-tint)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-expression": { backgroundColor: "var(--accent-tint)", color: "var(--accent-strong)", borderRadius: "3px" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--danger)", textUnderlineOffset: "3px" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "var(--radius)", boxShadow: "var(--shadow)" },
  ".cm-tooltip-autocomplete > ul": { font: "var(--text-code)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent-tint)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--text-2)", fontStyle: "normal" },
})
const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.comment, tags.meta], color: "var(--text-3)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--changed)" },
])

const expressions = ViewPlugin.fromClass(
  class {
    matcher = new MatchDecorator({ regexp: /\{\{.*?\}\}/g, decoration: Decoration.mark({ class: "cm-expression" }) })
    constructor(view) {
      this.decorations = this.matcher.createDeco(view)
    }
    update(update) {
      this.decorations = this.matcher.updateDeco(update, this.decorations)
    }
  },
  { decorations: (plugin) => plugin.decorations },
)

/** Names of data, inside of {{ … }}. */
const naming = (complete) => async (context) => {
  const before = context.state.sliceDoc(Math.max(0, context.pos - 2000), context.pos)
  const open = before.lastIndexOf("{{")
  if (open < 0 || before.indexOf("}}", open) >= 0) return null
  const word = before.slice(open + 2).match(/[\w.[\]"]*$/)[0]
  const closed = /^\s*\}\}/.test(context.state.sliceDoc(context.pos, context.pos + 20))
  const apply = (path) => (before.slice(open + 2).trim() === word.trim() && !closed ? `${before[open + 2] === " " ? "" : " "}${path} }}` : path)
  const values = await complete()
  return { from: context.pos - word.length, options: values.map(({ path, type, sample }) => ({ label: path, apply: apply(path), detail: sample ?? type })), validFor: /^[\w.[\]"]*$/ }
}

export function edit(root, { text, language, label, readonly, complete, typed }) {
  const isTemplate = language === "template"
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: text,
      extensions: [
        isTemplate ? minimalSetup : basicSetup,
        isTemplate ? [expressions, EditorView.lineWrapping, autocompletion({ override: [naming(complete)], icons: false })] : language === "yaml" ? [yaml()] : [],
        syntaxHighlighting(colours),
        look,
        EditorView.contentAttributes.of({ "aria-label": label, role: "textbox", "aria-multiline": "true" }),
        EditorState.readOnly.of(readonly),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged || update.transactions.some((each) => each.annotation(Transaction.remote))) return
          typed(update.state.doc.toString())
          if (isTemplate && update.state.sliceDoc(update.state.selection.main.head - 2, update.state.selection.main.head) === "{{") startCompletion(view)
        }),
      ],
    }),
  })
  return {
    focus: () => view.focus(),
    focused: () => view.hasFocus,
    show(next) {
      if (next !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next }, annotations: Transaction.remote.of(true) })
    },
    insert(piece) {
      view.dispatch(view.state.replaceSelection(piece))
      view.focus()
    },
    mark(faults) {
      const last = view.state.doc.lines
      const found = faults.map(({ line, message }) => {
        const at = view.state.doc.line(Math.min(Math.max(line ?? 1, 1), last))
        return { from: at.from, to: at.to, severity: "error", message }
      })
      view.dispatch(setDiagnostics(view.state, found))
    },
  }
}
