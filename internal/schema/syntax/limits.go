package syntax

// Bounds on what one text may hold. A schema is read under the service's own
// roof, from whoever may write one.
const (
	// schemaBytesMax keeps a schema in one message and one value of the store.
	schemaBytesMax = 1 << 20

	// faultsMax keeps the answer to a wrong file readable, and within a message.
	faultsMax = 100

	// nestingMax bounds parentheses in parentheses, and types in a parameter's
	// type: the parser goes down one call for each.
	nestingMax = 200

	// operandsMax bounds the names in one expression. `a + b + c + …` and
	// `a->b->c->…` are trees as deep as they are long, and whoever walks one
	// goes down as deep.
	operandsMax = 10_000

	// boundMax is the largest bound of a multiplicity. Counting the subjects of a
	// relation costs a read each.
	boundMax = 1_000_000
)
