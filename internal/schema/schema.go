package schema

import (
	"slices"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// A Schema is what a text means. See the package comment for what it promises.
type Schema struct {
	text        string
	definitions []*Definition // in source order
	byType      map[rel.ObjectType]*Definition
	caveats     []*Caveat // in source order
	byCaveat    map[rel.CaveatName]*Caveat
	strata      int
	warnings    []*fault.Fault

	// spreading are the relations with `one per subject with`, by the types that
	// they spread over.
	spreading map[rel.ObjectType][]*Relation
}

// Text is the text that was compiled, byte by byte.
func (s *Schema) Text() string { return s.text }

// Definitions are the schema's definitions in source order.
func (s *Schema) Definitions() []*Definition { return s.definitions }

// Definition is the definition of a type, or nil.
func (s *Schema) Definition(typ rel.ObjectType) *Definition { return s.byType[typ] }

// Warnings are what compiles but is probably not meant, in source order.
func (s *Schema) Warnings() []*fault.Fault { return s.warnings }

// Strata is how many strata the schema's slots have: 1 where nothing is
// excluded anywhere.
func (s *Schema) Strata() int { return s.strata }

// Spreading are the relations whose `one per subject with` can lead to an object
// of this type.
func (s *Schema) Spreading(typ rel.ObjectType) []*Relation { return s.spreading[typ] }

// MustDefine is the definition of a type that a question names; a fault where
// there is none, since a typing mistake must not look like 'no'.
func (s *Schema) MustDefine(typ rel.ObjectType) (*Definition, error) {
	if d := s.byType[typ]; d != nil {
		return d, nil
	}
	return nil, s.typeMustExist(typ)
}

// CheckSubject says whether a question may name this subject: its type exists,
// and its relation is a name of that type.
func (s *Schema) CheckSubject(subject rel.Subject) error {
	d, err := s.MustDefine(subject.Type())
	if err != nil || subject.Relation() == "" {
		return err
	}
	_, err = d.MustHave(subject.Relation())
	return err
}

// A Kind says what a definition's name is.
type Kind uint8

const (
	_              Kind = iota
	KindRelation        // stored
	KindPermission      // computed
	KindRole            // a step of the ladder: stored, computed, or both
)

func (k Kind) String() string {
	return [...]string{"name", "relation", "permission", "role"}[k]
}

// A Declared is one name of a definition.
type Declared struct {
	Name rel.Name
	Kind Kind
	Doc  string
	Slot Slot
	// Relation is the stored part: nil for a permission, and for a role that is
	// computed alone.
	Relation *Relation
	// Text is the expression as it was written, empty where there is none.
	Text string
	// Types are the types that a permission is annotated with, in the order of the
	// text; empty where it is not.
	Types []rel.ObjectType
}

// A Definition is one type of objects.
type Definition struct {
	Type rel.ObjectType
	Doc  string

	names     []*Declared // in source order, roles lowest first
	byName    map[rel.Name]*Declared
	relations []*Relation
	ladder    []*Declared // lowest first
	onePer    bool        // `roles one per subject`
	slots     []SlotPlan
	asked     Slots // the slots of names
	within    []rel.Name
	inherits  []rel.Name // `inherit from`
	except    string     // `roles except`, as it was written
	createdBy Rule
	rulesFrom int         // the slots from here on are of arrows that rules alone have
	lower     []*Relation // those with a lower bound
}

// Names are the definition's names in source order.
func (d *Definition) Names() []*Declared { return d.names }

// Name is a name of the definition, or nil.
func (d *Definition) Name(name rel.Name) *Declared { return d.byName[name] }

// MustHave is a name of the definition; a fault where it has none such.
func (d *Definition) MustHave(name rel.Name) (*Declared, error) {
	if n := d.byName[name]; n != nil {
		return n, nil
	}
	return nil, d.nameMustExist(name)
}

// MustHaveRole is a role of the definition; a fault where it has none such.
func (d *Definition) MustHaveRole(name rel.Name) (*Declared, error) {
	n, err := d.MustHave(name)
	if err == nil && n.Kind != KindRole {
		return nil, fault.Newf(fault.NameMustExist, "%q of type %q is a %s, and no role", name, d.Type, n.Kind).
			Do("name one of its roles")
	}
	return n, err
}

// Relations are what can be stored on an object of the type, roles with a
// stored part among them.
func (d *Definition) Relations() []*Relation { return d.relations }

// Relation is the stored part of a name, or nil.
func (d *Definition) Relation(name rel.Name) *Relation {
	if n := d.byName[name]; n != nil {
		return n.Relation
	}
	return nil
}

// Ladder is the definition's roles, lowest first.
func (d *Definition) Ladder() []*Declared { return d.ladder }

// OneRolePerSubject reports whether a subject has at most one stored role on an object.
func (d *Definition) OneRolePerSubject() bool { return d.onePer }

// LowerBounds are the relations that need at least some subjects on every object.
func (d *Definition) LowerBounds() []*Relation { return d.lower }

// Within are the relations that put an object inside another.
func (d *Definition) Within() []rel.Name { return d.within }

// Inherits are the relations that roles are inherited from.
func (d *Definition) Inherits() []rel.Name { return d.inherits }

// RolesExcept is who holds no role, as it was written; empty for nobody.
func (d *Definition) RolesExcept() string { return d.except }

// CreatedBy is who may create an object of the type; the zero Rule where no actor
// may.
func (d *Definition) CreatedBy() Rule { return d.createdBy }

// Slots is how many slots the definition has.
func (d *Definition) Slots() int { return len(d.slots) }

// Plan is how a slot is computed.
func (d *Definition) Plan(s Slot) *SlotPlan { return &d.slots[s] }

// IsAsked reports whether a slot has a name.
func (d *Definition) IsAsked(s Slot) bool { return d.asked.Has(s) }

// Asked are the slots that have names.
func (d *Definition) Asked() Slots { return d.asked }

// IsRole reports whether a slot is that of a role, not of a role's stored part.
func (d *Definition) IsRole(s Slot) bool { return d.slots[s].IsRole }

// Above reports whether one role stands higher on the ladder than another.
func (d *Definition) Above(a, b Slot) bool { return d.rank(a) > d.rank(b) }

func (d *Definition) rank(s Slot) int {
	return slices.IndexFunc(d.ladder, func(n *Declared) bool { return n.Slot == s })
}

// Inherited reports whether an arrow is one that `inherit from` stands for, for a role.
func (d *Definition) Inherited(arrow, role *SlotPlan) bool {
	return arrow.Kind == Arrow && slices.Contains(d.inherits, arrow.Relation.Name) &&
		arrow.Label == string(arrow.Relation.Name)+"->"+role.Label
}

// A PlanKind says where a slot's value comes from.
type PlanKind uint8

const (
	Stored   PlanKind = iota // tuples of a relation
	Arrow                    // tuples of a relation, and a slot of the objects they point to: of any
	All                      // likewise, of all of them, and there is at least one
	Computed                 // an expression over slots of the same object
)

// A SlotPlan is how a slot is computed.
type SlotPlan struct {
	Kind     PlanKind
	Stratum  int       // strata with lower numbers are finished before this one
	Relation *Relation // Stored, Arrow, All
	// Targets are the slots that Arrow and All lead to, by type; a type without
	// one has nothing of that name, and contributes 'no'.
	Targets map[rel.ObjectType]Slot
	Expr    *Expr  // Computed
	Label   string // as it was written: a name, or "organization->admin"
	IsRole  bool   // Computed: it is a role of the ladder
	Readers []Slot // computed slots of the same object that read this one
	// Everybody says that a wildcard can give the slot, by whatever way.
	Everybody bool
}

// An ExprOp is an operator of a compiled expression.
type ExprOp uint8

const (
	OpNil  ExprOp = iota
	OpSelf        // the object itself is one of the principal's subjects
	OpSlot
	OpUnion
	OpIntersection
	OpExclusion
	OpSubject // in rules alone: a slot of the object that the tuple's subject names
)

// An Expr is a compiled expression: only operators and slots of one object, and in
// a rule also of the object that a tuple's subject names.
type Expr struct {
	Op          ExprOp
	Slot        Slot // OpSlot
	Left, Right *Expr
	Targets     map[rel.ObjectType]Slot // OpSubject, by the type of the subject
}

// A Form is one form that a relation's tuples may have: what their subjects look
// like, and which attributes they carry. A tuple has exactly one form.
type Form struct {
	Type       rel.ObjectType
	Relation   rel.Name // of a userset; empty for the object itself
	Wildcard   bool
	Caveat     rel.CaveatName // that the tuple carries; empty for none
	Expiration bool           // whether the tuple carries one
}

// FormOf is the form of a tuple.
func FormOf(t rel.Tuple) Form {
	return Form{t.Subject.Type(), t.Subject.Relation(), t.Subject.IsWildcard(), t.Caveat.Name, !t.Expires.Never()}
}

// admits reports whether a tuple of this form may have this subject.
func (f Form) admits(s rel.Subject) bool {
	return f.Type == s.Type() && f.Relation == s.Relation() && f.Wildcard == s.IsWildcard()
}

// Always reports whether tuples of this form count whatever the time and the context.
func (f Form) Always() bool { return f.Caveat == "" && !f.Expiration }

// Subject is the form of the subject, without what the tuple carries.
func (f Form) Subject() Form { return Form{Type: f.Type, Relation: f.Relation, Wildcard: f.Wildcard} }

// String is the form as the schema writes it.
func (f Form) String() string {
	text := string(f.Type)
	switch {
	case f.Wildcard:
		text += ":*"
	case f.Relation != "":
		text += "#" + string(f.Relation)
	}
	switch {
	case f.Caveat != "" && f.Expiration:
		text += " with " + string(f.Caveat) + " and expiration"
	case f.Caveat != "":
		text += " with " + string(f.Caveat)
	case f.Expiration:
		text += " with expiration"
	}
	return text
}

// Unbounded stands for the star of a multiplicity.
const Unbounded = -1

// A Relation is what can be stored under a name.
type Relation struct {
	Type     rel.ObjectType // of the definition
	Name     rel.Name
	Forms    []Form
	Slot     Slot // of the stored part
	Rank     int  // place in the ladder, lowest 0; NoRank for a plain relation
	Min, Max int  // multiplicity; 0 and Unbounded where none is written
	Of       rel.Name
	With     rel.Name // `one per subject with`
	// GrantedBy and RevokedBy are who may write tuples; the zero Rule is no actor.
	// A `revoked by` left out copies `granted by`.
	GrantedBy, RevokedBy Rule
	// TakesAwayOnly says that a tuple of the relation can only take access away: all
	// that reads it, through whatever else, stands to the right of a `-` or in
	// `except`. A relation that nothing reads does not.
	TakesAwayOnly bool
}

// NoRank is the rank of a relation that is no role.
const NoRank = -1

// LeadsOn reports whether a subject of the relation can be a userset, which other
// objects say who is in.
func (r *Relation) LeadsOn() bool {
	return slices.ContainsFunc(r.Forms, func(f Form) bool { return f.Relation != "" })
}

// Allows reports whether a tuple of the relation may have this subject, whatever
// it carries.
func (r *Relation) Allows(s rel.Subject) bool {
	for _, f := range r.Forms {
		if f.admits(s) {
			return true
		}
	}
	return false
}

// AllowsTuple reports whether a tuple has one of the relation's forms: its
// subject's, with exactly the caveat and the expiration that the form carries.
func (r *Relation) AllowsTuple(t rel.Tuple) bool { return slices.Contains(r.Forms, FormOf(t)) }

// LocallyBelow are some slots, and all that they are computed from on the same object.
func (d *Definition) LocallyBelow(slots Slots) (found Slots) {
	var visit func(Slot)
	visit = func(s Slot) {
		if !found.Add(s) {
			return
		}
		if plan := &d.slots[s]; plan.Kind == Computed {
			var read Slots
			plan.Expr.slots(&read)
			for below := range read.All() {
				visit(below)
			}
		}
	}
	for s := range slots.All() {
		visit(s)
	}
	return found
}

// StoredBelow are the relations whose tuples, on the object itself, a slot is
// computed from.
func (d *Definition) StoredBelow(s Slot) (found []*Relation) {
	var one Slots
	one.Add(s)
	for below := range d.LocallyBelow(one).All() {
		if plan := &d.slots[below]; plan.Kind == Stored {
			found = append(found, plan.Relation)
		}
	}
	return found
}
