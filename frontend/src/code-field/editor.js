// CodeMirror for <code-field>, loaded when the first one is shown.
import { autocompletion, startCompletion } from "@codemirror/autocomplete"
import { yaml } from "@codemirror/lang-yaml"
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language"
import { EditorState, StateEffect, StateField, Transaction } from "@codemirror/state"
import { Decoration, EditorView, MatchDecorator, ViewPlugin, WidgetType } from "@codemirror/view"
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
  ".cm-line.is-bad": { backgroundColor: "var(--removed-tint)", boxShadow: "inset 3px 0 var(--danger)" },
  ".cm-fault": { marginInlineStart: "16px", color: "var(--removed)", font: "var(--text-sm)" },
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

class Message extends WidgetType {
  constructor(text) {
    super()
    this.text = text
  }
  eq(other) {
    return other.text === this.text
  }
  toDOM() {
    return Object.assign(document.createElement("span"), { className: "cm-fault", textContent: this.text })
  }
}

/** Lines with what is wrong in them, said at their end. */
const setFaults = StateEffect.define()
const faulty = StateField.define({
  create: () => Decoration.none,
  update(marks, transaction) {
    for (const effect of transaction.effects) if (effect.is(setFaults)) return effect.value
    return marks.map(transaction.changes)
  },
  provide: (field) => EditorView.decorations.from(field),
})

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
        faulty,
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
      const { doc } = view.state
      const byLine = new Map()
      for (const { line, message } of faults) {
        const at = doc.line(Math.min(Math.max(line ?? 1, 1), doc.lines))
        byLine.set(at.from, { at, message: byLine.get(at.from)?.message ?? message })
      }
      const marks = [...byLine.values()].flatMap(({ at, message }) => [
        Decoration.line({ class: "is-bad" }).range(at.from),
        Decoration.widget({ widget: new Message(message), side: 1 }).range(at.to),
      ])
      view.dispatch({ effects: setFaults.of(Decoration.set(marks, true)) })
    },
  }
}
