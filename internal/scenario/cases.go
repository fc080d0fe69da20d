package scenario

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
)

// assertions are the three lists of what holds and what does not.
func (r *reader) assertions(into *Questions) keys {
	list := func(asserted Value) func(key, value *yaml.Node) {
		return func(key, value *yaml.Node) {
			r.sequence(value, key.Value, func(n *yaml.Node) { r.assertion(n, asserted, into) })
		}
	}
	return keys{
		"assertTrue":     list(Granted),
		"assertFalse":    list(Denied),
		"assertCaveated": list(Conditional),
	}
}

// assertion reads one entry of a list; all of the list assert the same.
func (r *reader) assertion(n *yaml.Node, asserted Value, into *Questions) {
	text, ok := r.text(n, "an assertion")
	if !ok {
		return
	}
	a := Assertion{Line: n.Line, Text: text, Value: asserted}
	question, given, err := cutContext(text)
	if err != nil {
		r.told(err, n.Line, n.Column)
		return
	}
	a.Context = given
	object, rest, found := strings.Cut(question, "#")
	name, principal, found2 := strings.Cut(rest, "@")
	if !found || !found2 {
		r.fault(n, "%s is not an assertion", quoted(text)).
			Do("write object#name@subject, for example project:p1#view@user:ana")
		return
	}
	if a.Object, err = rel.ParseObject(object); err == nil {
		if a.Name, err = rel.ParseName(name); err == nil {
			a.Principal, err = rel.ParsePrincipal(principal)
		}
	}
	if err != nil {
		r.told(err, n.Line, n.Column)
		return
	}
	into.Assertions = append(into.Assertions, a)
}

// roles reads "object@subject": role.
func (r *reader) roles(n *yaml.Node, into *Questions) {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "roles is not a mapping").Do("write \"object@subject\": role")
		return
	}
	r.pairs(n, func(key, value *yaml.Node) {
		role, ok := r.text(value, "the role of "+quoted(key.Value))
		if !ok {
			return
		}
		c := Role{Line: key.Line, Text: key.Value}
		question, given, err := cutContext(key.Value)
		if err != nil {
			r.told(err, key.Line, key.Column)
			return
		}
		c.Context = given
		object, principal, found := strings.Cut(question, "#@")
		if !found {
			object, principal, found = strings.Cut(question, "@")
		}
		if !found {
			r.fault(key, "%s names no subject", quoted(key.Value)).
				Do("write object@subject, for example project:p1@user:ana")
			return
		}
		if c.Object, err = rel.ParseObject(object); err == nil {
			c.Principal, err = rel.ParsePrincipal(principal)
		}
		if meant := endOfObject(question); err != nil && meant != "" {
			fault.Of(err).Do("write %s: after an id that holds '@', the subject begins with '#@'", quoted(meant))
		}
		if err == nil && role != noRole {
			c.Role, err = rel.ParseName(role)
		}
		if err != nil {
			r.told(err, key.Line, key.Column)
			return
		}
		into.Roles = append(into.Roles, c)
	})
}

// endOfObject is what was probably meant by a key that cannot be read: an id
// with an '@', and no "#@" after it to say so. It is silent rather than guess badly.
func endOfObject(question string) string {
	if strings.Contains(question, "#@") || strings.Count(question, "@") < 2 {
		return ""
	}
	for i, c := range question {
		if c != '@' {
			continue
		}
		_, noObject := rel.ParseObject(question[:i])
		_, noPrincipal := rel.ParsePrincipal(question[i+1:])
		if noObject == nil && noPrincipal == nil {
			return question[:i] + "#" + question[i:]
		}
	}
	return ""
}

// noRole is how a file writes that somebody has no role.
const noRole = "none"

// cutContext takes ` with {…}` off. No reference has white space in it, so the
// first of these words is not part of one.
func cutContext(text string) (question string, given rel.Context, err error) {
	question, context, found := strings.Cut(text, " with ")
	question = strings.TrimSpace(question)
	if !found {
		return question, rel.Context{}, nil
	}
	given, err = rel.ParseContext(strings.TrimSpace(context))
	if err == nil {
		err = given.CheckBytes(rel.RequestContextBytesMax)
	}
	return question, given, err
}

func (r *reader) write(n *yaml.Node) {
	w := Write{Line: n.Line}
	faultsBefore := len(r.faults)
	expected, changes := false, 0
	r.mapping(n, "a write", keys{
		"name":  func(_, v *yaml.Node) { w.Name, _ = r.text(v, "name") },
		"actor": func(_, v *yaml.Node) { r.actor(v, &w) },
		"updates": func(_, v *yaml.Node) {
			r.sequence(v, "updates", func(n *yaml.Node) { r.update(n, &w) })
		},
		"expect": func(_, v *yaml.Node) { expected = r.expect(v, &w) },
		"changes": func(_, v *yaml.Node) {
			w.Changes = []rel.Change{} // an empty list says that nothing changes
			changes = len(v.Content)
			r.sequence(v, "changes", func(n *yaml.Node) { r.change(n, &w) })
		},
		"then": func(_, v *yaml.Node) {
			then := r.assertions(&w.Then)
			then["roles"] = func(_, v *yaml.Node) { r.roles(v, &w.Then) }
			r.mapping(v, "then", then)
		},
	})
	if len(r.faults) > faultsBefore {
		return
	}
	switch {
	case !expected:
		r.fault(n, "a write does not say what is expected").Do("write expect: accepted, or expect: refused REASON")
	case changes > 0 && !w.Expect.Accepted:
		r.fault(n, "a refused write has changes").Do("leave changes out, or empty: what is refused changes nothing")
	}
	if w.Name == "" && len(w.Updates) == 0 {
		w.Name = "a write without updates"
	}
	if w.Name == "" {
		texts := make([]string, len(w.Updates))
		for i, u := range w.Updates {
			texts[i] = u.String()
		}
		w.Name = strings.Join(texts, ", ")
		if !w.Actor.IsZero() {
			w.Name = w.Actor.Subject.String() + ": " + w.Name
		}
	}
	r.file.Writes = append(r.file.Writes, w)
}

func (r *reader) actor(n *yaml.Node, w *Write) {
	text, ok := r.text(n, "actor")
	if !ok {
		return
	}
	actor, given, err := cutContext(text)
	if strings.Contains(actor, " + ") {
		r.fault(n, "%s is more than one subject, and an actor is one", quoted(actor)).
			Do("name who acts: what a caller presents beside itself gives no right to write")
		return
	}
	if err == nil {
		w.Actor, err = rel.NewActor(actor, given)
	}
	if err != nil {
		r.told(err, n.Line, n.Column)
	}
}

func (r *reader) update(n *yaml.Node, w *Write) {
	text, ok := r.text(n, "an update")
	if !ok {
		return
	}
	u, err := rel.ParseUpdate(text)
	if err != nil {
		r.told(err, n.Line, n.Column)
		return
	}
	w.Updates = append(w.Updates, u)
}

func (r *reader) change(n *yaml.Node, w *Write) {
	text, ok := r.text(n, "a change")
	if !ok {
		return
	}
	// A change is written like an update, but there is no way to change a tuple
	// other than these three.
	u, err := rel.ParseUpdate(text)
	switch {
	case err == nil && u.Op <= rel.Delete:
		w.Changes = append(w.Changes, rel.Change{Op: u.Op, Tuple: u.Tuple})
	case err == nil:
		r.fault(n, "%s is not a change", quoted(text)).Do("write create, touch or delete, and a tuple")
	default:
		r.told(err, n.Line, n.Column)
	}
}

func (r *reader) expect(n *yaml.Node, w *Write) bool {
	text, ok := r.text(n, "expect")
	if !ok {
		return false
	}
	word, reason, hasReason := strings.Cut(text, " ")
	reason = strings.TrimSpace(reason)
	switch {
	case text == "accepted":
		w.Expect.Accepted = true
	case text == "refused":
	case word == "refused" && hasReason:
		code, known := fault.CodeOf(reason)
		if !known || !isRefusal(code) {
			r.fault(n, "%s is not a reason to refuse a write", quoted(reason)).Do("the reasons are %s", reasons())
			return false
		}
		w.Expect.Reason = code
	default:
		r.fault(n, "%s is not an expectation", quoted(text)).Do("write accepted, refused, or refused REASON")
		return false
	}
	return true
}

// refusals are the reasons of a refused write, in the order in which they are judged.
var refusals = [...]fault.Code{
	fault.TypeMustExist, fault.NameMustExist, // in a filter
	fault.NotInSchema, fault.AlreadyExistsCreate, fault.MatchesMustStayWithinLimit, fault.PreconditionMustHold, fault.ActorMustBeAllowedToGrant,
	fault.OneRolePerSubject, fault.UpperBoundMustHold, fault.LowerBoundMustHold, fault.SubjectMustBeIn,
}

// isRefusal tells a refused write from one that failed for another reason: a
// full disk must not pass for a rule that was kept.
func isRefusal(c fault.Code) bool { return slices.Contains(refusals[:], c) }

func reasons() string {
	texts := make([]string, len(refusals))
	for i, c := range refusals {
		texts[i] = c.Reason()
	}
	return strings.Join(texts, ", ")
}

func listed(known keys) string { return strings.Join(slices.Sorted(maps.Keys(known)), ", ") }
