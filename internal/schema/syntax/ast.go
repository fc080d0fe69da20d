package syntax

// A Pos is a place in a schema text: line and column counted from 1, the column
// in code points; offset in bytes from 0. The zero Pos is no place.
type Pos struct {
	Offset, Line, Column int
}

// An Ident is a name where it stands.
type Ident struct {
	At   Pos
	Text string
}

// A File is one schema text as it was written, whatever it means. The parser
// always returns one; where the text has errors it holds what could be read.
type File struct {
	Uses        []*Use
	Imports     []*Import
	Caveats     []*Caveat
	Partials    []*Definition // `partial NAME { }`
	Definitions []*Definition
}

// A Use is `use FEATURE`.
type Use struct {
	At      Pos
	Feature Ident
}

// An Import is `import "PATH"`.
type Import struct {
	At     Pos
	Path   string
	PathAt Pos // of the quote that opens it
}

// A Caveat is `caveat NAME(params) { CEL }`; the body is kept as text.
type Caveat struct {
	At     Pos
	Doc    string
	Name   Ident
	Params []*Param
	Body   string
	BodyAt Pos
}

// A Param is one parameter of a caveat: a name and a type such as `list<int>`.
type Param struct {
	Name Ident
	Type string
}

// A Definition is `definition NAME { … }`, or a partial of the same form.
type Definition struct {
	At        Pos
	End       Pos    // of the brace that closes it; no place where none does
	Doc       string // the text of the doc comment before it, without its marks
	Name      Ident
	Relations []*Relation
	// Permissions are in source order, too.
	Permissions []*Permission
	Roles       []*Roles // more than one is an error of meaning, not of form
	Withins     []*Within
	CreatedBys  []*CreatedBy
	Includes    []*Include // `...partial`
}

// An Include is `...NAME` in a definition: the members of a partial.
type Include struct {
	At   Pos
	Name Ident
}

// A Relation is `relation NAME: TYPES …` or, inside a roles block, a role.
type Relation struct {
	At    Pos
	Doc   string
	Name  Ident
	Types []*TypeRef // empty only for a role that is computed alone

	Multiplicity *Multiplicity // nil where none is written
	Expr         Expr          // roles only; nil where none is written
	Of           *Ident        // `of REL`
	OnePerWith   *Ident        // `one per subject with REL`
	Granted      *Rule
	Revoked      *Rule
}

// A TypeRef is one form that a relation's subjects may have.
type TypeRef struct {
	At         Pos
	Type       Ident
	Relation   *Ident // `type#relation`; nil for none
	Wildcard   bool   // `type:*`
	Caveat     *Ident // `with caveat`
	Expiration bool   // `with expiration`, `with caveat and expiration`
}

// A Multiplicity is `[n]`, `[n..m]` or `[n..*]`; Unbounded stands for the star.
type Multiplicity struct {
	At        Pos
	Min, Max  int
	Unbounded bool
}

// A Rule is `granted by EXPR`, `revoked by EXPR`, with `except self` or without.
type Rule struct {
	At         Pos // of the word `granted` or `revoked`
	Expr       Expr
	ExceptSelf bool
}

// A Permission is `permission NAME = EXPR`.
type Permission struct {
	At         Pos
	Doc        string
	Name       Ident
	Annotation []Ident // `permission NAME: type | type = EXPR`; empty without
	Expr       Expr
}

// A Roles block is `roles [one per subject] [except EXPR] { … }`.
type Roles struct {
	At            Pos
	Doc           string
	OnePerSubject bool
	Except        Expr        // nil for none
	Roles         []*Relation // lowest first
	Inherits      []*Inherit
}

// An Inherit is `inherit from REL`.
type Inherit struct {
	At  Pos
	Rel Ident
}

// A Within is `within REL[, REL]`.
type Within struct {
	At   Pos
	Rels []Ident
}

// A CreatedBy is `created by EXPR`.
type CreatedBy struct {
	At   Pos
	Expr Expr
}

// An Expr is the right side of a permission, a role or a rule.
type Expr interface {
	Pos() Pos
	expr()
}

// An Op joins two expressions. Tightest first: union, intersection, exclusion;
// all of them group to the left.
type Op byte

const (
	Union        Op = '+'
	Intersection Op = '&'
	Exclusion    Op = '-'
)

type (
	// A NameExpr is a name of the same definition.
	NameExpr struct {
		Name Ident
	}

	// An ArrowExpr is `LEFT->NAME`, `LEFT.any(NAME)` or `LEFT.all(NAME)`. LEFT is
	// a NameExpr, or an ArrowExpr for a nested arrow.
	ArrowExpr struct {
		Left   Expr
		Kind   ArrowKind
		At     Pos // of the arrow or the dot
		Target Ident
	}

	// A SubjectExpr is `subject->NAME`, in rules alone.
	SubjectExpr struct {
		At     Pos
		Target Ident
	}

	// A BinaryExpr is `LEFT OP RIGHT`.
	BinaryExpr struct {
		Op          Op
		At          Pos // of the operator
		Left, Right Expr
	}

	// A ParenExpr is `( X )`, kept for the printer and for warnings.
	ParenExpr struct {
		At Pos
		X  Expr
	}

	// A NilExpr is `nil`.
	NilExpr struct{ At Pos }

	// A SelfExpr is `self`.
	SelfExpr struct{ At Pos }
)

// An ArrowKind is how an arrow is written; Arrow and Any mean the same.
type ArrowKind byte

const (
	Arrow ArrowKind = iota
	Any
	All
)

func (e *NameExpr) Pos() Pos    { return e.Name.At }
func (e *ArrowExpr) Pos() Pos   { return e.Left.Pos() }
func (e *SubjectExpr) Pos() Pos { return e.At }
func (e *BinaryExpr) Pos() Pos  { return e.Left.Pos() }
func (e *ParenExpr) Pos() Pos   { return e.At }
func (e *NilExpr) Pos() Pos     { return e.At }
func (e *SelfExpr) Pos() Pos    { return e.At }

func (*NameExpr) expr()    {}
func (*ArrowExpr) expr()   {}
func (*SubjectExpr) expr() {}
func (*BinaryExpr) expr()  {}
func (*ParenExpr) expr()   {}
func (*NilExpr) expr()     {}
func (*SelfExpr) expr()    {}

// Strip takes parentheses off.
func Strip(e Expr) Expr {
	for {
		p, ok := e.(*ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}
