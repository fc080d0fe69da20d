package condition

import (
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// CEL charges for a call after it was made, and little or nothing for some that
// take long: a list of a million items, made by doubling, is one unit, and so is
// looking through it. Here is what keeps costMax an honest bound: prices for calls
// whose time grows with their arguments, and guards around those that must not even
// begin before it is known that they are paid for.

// programOptions say how a caveat is planned: constants are worked out once, and
// every evaluation has its limit.
func programOptions(tree *ast.AST) []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(costMax),
		cel.CostTrackerOptions(prices()...),
		cel.CustomDecoratorV2(guard(tree)),
	}
}

// chargeID is the overload under which guards charge what they have found out.
const chargeID = "pemba_charge"

// prices are what calls cost whose time CEL does not count.
func prices() []cost.TrackerOption {
	price := func(id string, of func(args []ref.Val, result ref.Val) uint64) cost.TrackerOption {
		return cost.OverloadTracker(id, func(args []ref.Val, result ref.Val) *uint64 {
			units := of(args, result)
			return &units
		})
	}
	all := []cost.TrackerOption{
		price(chargeID, func(args []ref.Val, _ ref.Val) uint64 { return uint64(args[0].(types.Int)) }),
		// A list that is added to another is not copied, so that a list could double
		// for one unit each time, and what follows would have to walk over it. The
		// lists that macros build grow in place.
		price(overloads.AddList, func(args []ref.Val, result ref.Val) uint64 {
			if _, inPlace := args[0].(traits.MutableLister); inPlace {
				return 1
			}
			return lengthOf(result)
		}),
	}
	for _, id := range []string{overloads.StringToInt, overloads.StringToUint, overloads.StringToDouble, overloads.StringToBool,
		overloads.StringToTimestamp, overloads.StringToDuration, overloads.SizeString, overloads.SizeStringInst} {
		all = append(all, price(id, func(args []ref.Val, _ ref.Val) uint64 { return textWeight(args[0]) }))
	}
	for _, id := range []string{overloads.TimestampToYearWithTz, overloads.TimestampToMonthWithTz, overloads.TimestampToDayOfYearWithTz,
		overloads.TimestampToDayOfMonthZeroBasedWithTz, overloads.TimestampToDayOfMonthOneBasedWithTz, overloads.TimestampToDayOfWeekWithTz,
		overloads.TimestampToHoursWithTz, overloads.TimestampToMinutesWithTz, overloads.TimestampToSecondsWithTz, overloads.TimestampToMillisecondsWithTz} {
		all = append(all, price(id, func([]ref.Val, ref.Val) uint64 { return zoneCost }))
	}
	return all
}

// textWeight is what one pass over a text costs, at least one unit.
func textWeight(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return 1 + uint64(len(v))/16
	case types.Bytes:
		return 1 + uint64(len(v))/16
	default:
		return 1
	}
}

// lengthOf is how many items a list has.
func lengthOf(v ref.Val) uint64 {
	if list, ok := v.(traits.Lister); ok {
		if n, ok := list.Size().(types.Int); ok {
			return uint64(max(n, 1))
		}
	}
	return 1
}

// weigh is what one pass over a value costs, whatever it is made of. It looks no
// further than limit: the same list may stand in another twice, and that one in a
// third twice, and so on, for a handful of units.
func weigh(v ref.Val, limit uint64) uint64 {
	total := textWeight(v)
	switch v := v.(type) {
	case traits.Mapper:
		for it := v.Iterator(); total <= limit && it.HasNext() == types.True; {
			key := it.Next()
			total += textWeight(key)
			if value, found := v.Find(key); found {
				total += weigh(value, limit-min(total, limit))
			}
		}
	case traits.Lister:
		for it := v.Iterator(); total <= limit && it.HasNext() == types.True; {
			total += weigh(it.Next(), limit-min(total, limit))
		}
	}
	return total
}

// guard puts guards around what must be paid for before it begins.
func guard(tree *ast.AST) interpreter.InterpretableDecoratorV2 {
	return func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		if made, ok := i.(interpreter.InterpretableConstructor); ok {
			b := builder{i, uint64(len(made.InitVals()))}
			switch {
			case made.Type() == types.MapType:
				return &orderedBuilder{b}, nil
			case areConstant(made.InitVals()):
				return i, nil // it is built once
			default:
				return &b, nil
			}
		}
		call, ok := i.(interpreter.InterpretableCall)
		if !ok || len(call.Args()) != 2 {
			return i, nil
		}
		g := &guarded{call: call, left: call.Args()[0], right: call.Args()[1]}
		switch call.Function() {
		case operators.Equals:
			g.price, g.apply = priceOfEquality, types.Equal
		case operators.NotEquals:
			g.price, g.apply = priceOfEquality, notEqual
		case operators.In:
			// CEL makes a set of a constant list, if what is looked for has a type
			// that can be in a set; for `any` that is not known.
			if _, constant := g.right.(interpreter.InterpretableConst); constant && isScalar(tree.GetType(g.left.ID())) {
				return i, nil
			}
			g.price, g.apply = priceOfMembership, contains
		case "isSubtreeOf":
			g.price, g.apply = priceOfEquality, isSubtree
		case overloads.Matches:
			return guardPattern(g)
		default:
			return i, nil
		}
		return g, nil
	}
}

func areConstant(parts []interpreter.InterpretableV2) bool {
	for _, p := range parts {
		if _, constant := p.(interpreter.InterpretableConst); !constant {
			return false
		}
	}
	return true
}

func isScalar(t *types.Type) bool {
	switch t.Kind() {
	case types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.StringKind:
		return true
	default:
		return false
	}
}

// A builder is a list or a map in the text. CEL charges for it as a whole; it pays
// here for each part, since parts may be constants, which are free.
type builder struct {
	interpreter.InterpretableV2
	parts uint64
}

func (b *builder) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	charge(frame, b.ID(), b.parts)
	return b.InterpretableV2.Exec(frame)
}

func (b *builder) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, b.Exec)
}

// A guarded call charges for its arguments as they are before it is made.
type guarded struct {
	call        interpreter.InterpretableCall
	left, right interpreter.InterpretableV2
	price       func(left, right ref.Val) uint64
	apply       func(left, right ref.Val) ref.Val
}

func (g *guarded) ID() int64 { return g.call.ID() }

func (g *guarded) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, g.Exec)
}

// Exec is strict, as CEL's own calls are: of an error comes the error, and of what
// is unknown comes what is unknown.
func (g *guarded) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	left := g.left.Exec(frame)
	if types.IsError(left) {
		return left
	}
	right := g.right.Exec(frame)
	if types.IsError(right) {
		return right
	}
	if unknown, ok := types.MaybeMergeUnknowns(left, nil); ok {
		if both, ok := types.MaybeMergeUnknowns(right, unknown); ok {
			return both
		}
		return unknown
	}
	if unknown, ok := types.MaybeMergeUnknowns(right, nil); ok {
		return unknown
	}
	charge(frame, g.ID(), g.price(left, right))
	return g.apply(left, right)
}

// charge spends units; where there are not as many left, the evaluation ends here.
func charge(frame *interpreter.ExecutionFrame, id int64, units uint64) {
	if tracker := frame.CostTracker(); tracker != nil {
		tracker.EvalUnary(frame, id, chargeCall{}, types.Int(units), types.True)
	}
}

// chargeCall is what a charge calls itself.
type chargeCall struct{}

func (chargeCall) Function() string   { return chargeID }
func (chargeCall) OverloadID() string { return chargeID }

// priceOfEquality: comparing ends where the smaller of the two ends.
func priceOfEquality(left, right ref.Val) uint64 {
	lesser := weigh(left, costMax)
	return min(lesser, weigh(right, lesser))
}

func notEqual(left, right ref.Val) ref.Val {
	equal, ok := types.Equal(left, right).(types.Bool)
	if !ok {
		return types.NoSuchOverloadErr()
	}
	return !equal
}

// priceOfMembership: what is looked for is compared with every item.
func priceOfMembership(item, in ref.Val) uint64 {
	weight := weigh(item, costMax)
	if _, isList := in.(traits.Lister); isList {
		return weight * lengthOf(in)
	}
	return weight
}

func contains(item, in ref.Val) ref.Val {
	// What cannot be a key is looked for in vain; CEL would ask Go's map for it,
	// and that panics.
	if m, isMap := in.(traits.Mapper); isMap {
		switch item.(type) {
		case types.Bool, types.Int, types.Uint, types.Double, types.String:
			_, found := m.Find(item)
			return types.Bool(found)
		}
		return types.False
	}
	if list, isList := in.(traits.Lister); isList {
		return list.Contains(item)
	}
	return types.NoSuchOverloadErr()
}

// guardPattern guards a match: CEL charges by the length of the expression, and one
// that is short can have a long program. A constant one is compiled here, once.
func guardPattern(g *guarded) (interpreter.InterpretableV2, error) {
	constant, ok := g.right.(interpreter.InterpretableConst)
	if !ok {
		g.price, g.apply = priceOfPattern, matches
		return g, nil
	}
	text, ok := constant.Value().(types.String)
	if !ok {
		return g.call, nil
	}
	size, err := patternSize(string(text))
	if err != nil {
		return nil, err
	}
	pattern, err := regexp.Compile(string(text))
	if err != nil {
		return nil, err
	}
	g.price = func(text, _ ref.Val) uint64 { return priceOfMatch(text, size) }
	g.apply = func(text, _ ref.Val) ref.Val { return match(pattern, text) }
	return g, nil
}

// priceOfMatch: each step of the program may look at each character.
func priceOfMatch(text ref.Val, size uint64) uint64 {
	s, _ := text.(types.String)
	return 1 + uint64(len(s))*size/16
}

// priceOfPattern counts compiling it, too.
func priceOfPattern(text, pattern ref.Val) uint64 {
	p, ok := pattern.(types.String)
	if !ok || len(p) > patternBytesMax {
		return 1
	}
	size, err := patternSize(string(p))
	if err != nil {
		return textWeight(p)
	}
	return 50 + 5*size + priceOfMatch(text, size)
}

func matches(text, pattern ref.Val) ref.Val {
	p, ok := pattern.(types.String)
	switch {
	case !ok:
		return types.NoSuchOverloadErr()
	case len(p) > patternBytesMax:
		return types.NewErr("the regular expression has %d characters; it may have %d", len(p), patternBytesMax)
	}
	if size, err := patternSize(string(p)); err != nil || size > patternMax {
		return types.NewErr("the regular expression %s is not valid, or too large", quoted(string(p)))
	}
	compiled, err := regexp.Compile(string(p))
	if err != nil {
		return types.NewErr("the regular expression %s is not valid", quoted(string(p)))
	}
	return match(compiled, text)
}

func match(pattern *regexp.Regexp, text ref.Val) ref.Val {
	s, ok := text.(types.String)
	if !ok {
		return types.NoSuchOverloadErr()
	}
	return types.Bool(pattern.MatchString(string(s)))
}

// patternSize is about how many instructions a regular expression becomes, before
// anything is compiled.
func patternSize(pattern string) (uint64, error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	return instructions(tree), nil
}

func instructions(tree *syntax.Regexp) uint64 {
	var total uint64
	for _, sub := range tree.Sub {
		total += instructions(sub)
	}
	switch tree.Op {
	case syntax.OpConcat:
	case syntax.OpLiteral:
		total = uint64(len(tree.Rune))
	case syntax.OpCharClass: // its ranges are looked through for each character
		total = 1 + uint64(len(tree.Rune))/8
	case syntax.OpRepeat:
		times := uint64(max(tree.Min, tree.Max, 1))
		total *= times
		if tree.Max != tree.Min { // each may be the last
			total += times
		}
	default:
		total++
	}
	return min(total, 1<<32) // so that repetitions of repetitions do not overflow
}
