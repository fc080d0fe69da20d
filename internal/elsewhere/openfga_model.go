package elsewhere

// A model is an OpenFGA model as its language or JSON says it.
type model struct {
	types      []*typeDefinition
	conditions []*condition
}

// A typeDefinition is a type with its relations. One that extends a type of
// another module is joined with it before anything is converted.
type typeDefinition struct {
	name      string
	at        Place
	comments  []string
	extends   bool
	relations []*relation
}

// A relation is `define NAME: REWRITE`.
type relation struct {
	name     string
	at       Place
	comments []string
	rewrite  *rewrite
	subjects []restriction // who may be written, where the rewrite has the operand `[…]`
}

// A restriction is one of the subjects between the brackets.
type restriction struct {
	typ       string
	relation  string // of a userset
	wildcard  bool
	condition string
}

// A rewrite says how a relation comes about.
type rewrite struct {
	op       rewriteOp
	name     string     // of computed, from
	tupleset string     // of from: `name from tupleset`
	operands []*rewrite // of the others; of exclusion two

	parenthesised bool // in the text; of use to its parser alone
}

type rewriteOp int

const (
	direct       rewriteOp = iota // […]
	computed                      // name
	from                          // name from tupleset
	union                         // a or b
	intersection                  // a and b
	exclusion                     // a but not b
)

// isWritten reports whether the rewrite has `[…]` anywhere in it.
func (r *rewrite) isWritten() bool {
	if r.op == direct {
		return true
	}
	for _, each := range r.operands {
		if each.isWritten() {
			return true
		}
	}
	return false
}

// A condition is CEL over parameters.
type condition struct {
	name       string
	at         Place
	comments   []string
	parameters []parameter
	body       string
}

type parameter struct {
	name, typ string
	at        Place
}

// relationNamed finds a relation of a type; nil where there is none.
func (t *typeDefinition) relationNamed(name string) *relation {
	for _, r := range t.relations {
		if r.name == name {
			return r
		}
	}
	return nil
}
