package syntax

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// A writer writes random schemas that can be read, in which every name is a word
// of the language: whatever the grammar leaves open, they are what it is told from.
type writer struct {
	*rand.Rand
	strings.Builder
	inRule bool
}

func TestNamesThatAreWordsSurviveFormatting(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := writer{Rand: random}
		w.schema()
		text := w.String()
		for range 5 {
			if !formatKeepsItsPromises(t, text) {
				_, faults := Parse(text)
				t.Fatalf("seed %d: %v\n%s", seed, faults[0], text)
			}
			text = mangled(w.String(), random)
		}
	}
}

func (w *writer) schema() {
	w.WriteString("use roles\nuse expiration\nuse partial\nuse import\n")
	w.maybe(func() { w.WriteString(w.pick("import \"a/b.zed\"\n", "import 'of \"quotes\"'\n")) })
	for range 1 + w.IntN(3) {
		w.maybe(w.caveat)
		w.WriteString(w.pick("definition ", "partial ") + w.name() + " {\n")
		for range w.IntN(6) {
			w.member()
			w.WriteString("\n")
		}
		w.WriteString("}\n")
	}
}

// caveat writes CEL that has braces, quotes and comments of its own.
func (w *writer) caveat() {
	w.WriteString("caveat " + w.name() + "(" + w.name() + w.pick(" int", " list<string>, b map<any>") + ") {")
	w.WriteString(w.pick("true", " // a } b\n x in y ", "\n  {'}': 1}['}'] == 1 &&\n\t!false\n", " \"{\" == r'\\' "))
	w.WriteString("}\n")
}

func (w *writer) member() {
	switch w.IntN(7) {
	case 0, 1:
		w.WriteString("relation " + w.name() + ": ")
		w.types()
		w.maybe(func() { w.WriteString(w.pick(" [1]", " [0..2]", " [1..*]")) })
		w.tail()
	case 2:
		w.WriteString("permission " + w.name())
		w.maybe(func() { w.WriteString(": " + w.name() + " | " + w.name()) })
		w.WriteString(" = ")
		w.expr(3)
	case 3:
		w.WriteString("within " + w.name() + ", " + w.name())
	case 4:
		w.WriteString("created by ")
		w.expr(2)
	case 5:
		w.WriteString("..." + w.name())
	default:
		w.roles()
	}
}

func (w *writer) roles() {
	w.WriteString("roles ")
	w.maybe(func() { w.WriteString("one per subject ") })
	w.maybe(func() {
		w.WriteString("except ")
		w.expr(2)
	})
	w.WriteString(" {\n")
	for range w.IntN(8) {
		w.role()
		w.WriteString(w.pick("\n", ";"))
	}
	w.WriteString("}")
}

func (w *writer) role() {
	if w.IntN(8) == 0 {
		w.WriteString("inherit from " + w.name())
		return
	}
	name := w.name()
	w.WriteString(name)
	bare := true
	w.maybe(func() {
		bare = false
		w.WriteString(": ")
		w.types()
		w.maybe(func() { w.WriteString(" [1..*]") })
	})
	w.maybe(func() {
		bare = false
		w.WriteString(" = ")
		w.expr(2)
	})
	if !bare || name != "of" && name != "except" {
		w.tail()
	}
}

func (w *writer) tail() {
	w.maybe(func() { w.WriteString(" of " + w.name()) })
	w.maybe(func() { w.WriteString(" one per subject with " + w.name()) })
	for _, verb := range []string{" granted by ", " revoked by "} {
		w.maybe(func() {
			w.WriteString(verb)
			w.inRule = true
			w.expr(2)
			w.inRule = false
			w.maybe(func() { w.WriteString(" except self") })
		})
	}
}

func (w *writer) types() {
	for i := range 1 + w.IntN(3) {
		if i > 0 {
			w.WriteString(" | ")
		}
		w.WriteString(w.name() + w.pick("", "", ":*", "#"+w.name(), "#...", "/"+w.name()))
		w.maybe(func() {
			w.WriteString(w.pick(" with expiration", " with "+w.name(), " with "+w.name()+" and expiration"))
		})
	}
}

func (w *writer) expr(depth int) {
	switch n := w.IntN(8); {
	case n < 3 && depth > 0:
		w.expr(depth - 1)
		w.WriteString(w.pick(" + ", " & ", " - "))
		w.expr(depth - 1)
	case n < 4 && depth > 0:
		w.WriteString("(")
		w.expr(depth - 1)
		w.WriteString(")")
	case n < 5 && w.inRule:
		w.WriteString("subject->" + w.name())
	case n < 5:
		w.WriteString("nil")
	default:
		w.WriteString(w.name())
		for range w.IntN(3) {
			w.WriteString(w.pick("->"+w.name(), ".any("+w.name()+")", ".all("+w.name()+")"))
		}
	}
}

func (w *writer) name() string {
	return w.pick(
		"of", "except", "one", "per", "with", "and", "granted", "revoked", "by", "inherit", "from", "within",
		"created", "roles", "relation", "permission", "definition", "caveat", "partial", "use", "import", "any", "all", "a",
	)
}

func (w *writer) pick(texts ...string) string { return texts[w.IntN(len(texts))] }

func (w *writer) maybe(write func()) {
	if w.IntN(2) == 0 {
		write()
	}
}
