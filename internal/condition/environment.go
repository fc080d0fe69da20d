package condition

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	_ "time/tzdata" // getHours("Europe/Berlin") must not depend on what the machine has installed

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/parser"

	"github.com/pemba-io/pemba/internal/fault"
)

// adapter makes Go values CEL's. Those that are CEL's already pass through it.
var adapter = types.DefaultTypeAdapter

// environment is what a caveat's text may use: its parameters, CEL's standard
// functions and macros, and the two that SpiceDB's caveats have besides,
// `ip.in_cidr(network)` and `a.isSubtreeOf(b)`.
func (c *Caveat) environment() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.DefaultUTCTimeZone(true),
		cel.EnableMacroCallTracking(), // for Text
		cel.ParserExpressionSizeLimit(bodyBytesMax),
		cel.ParserRecursionLimit(nestingMax),
		cel.ParserErrorRecoveryLimit(bodyFaultsMax),
		cel.ExpressionNodeLimit(nodesMax),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		cel.Function("in_cidr", cel.MemberOverload("ipaddress_in_cidr_string",
			[]*cel.Type{addressType, cel.StringType}, cel.BoolType, cel.BinaryBinding(inNetwork))),
		cel.Function("isSubtreeOf", cel.MemberOverload("map_is_subtree_of_map",
			[]*cel.Type{anyMap, anyMap}, cel.BoolType, cel.BinaryBinding(isSubtree))),
	}
	for i, p := range c.params {
		options = append(options, cel.Variable(p.Name, c.types[i].cel()))
	}
	return cel.NewEnv(options...)
}

// compile reads the text, and plans how it is evaluated.
func (c *Caveat) compile(body string) []*fault.Fault {
	env, err := c.environment()
	if err != nil {
		return []*fault.Fault{bodyMustBeValid(body, err)}
	}
	tree, issues := env.Compile(body)
	if issues.Err() != nil {
		return c.bodyFaults(issues.Errors())
	}
	if tree.OutputType() != cel.BoolType {
		return []*fault.Fault{bodyMustBeBool(cel.FormatCELType(tree.OutputType()))}
	}
	if faults := c.review(tree.NativeRep()); len(faults) > 0 {
		return faults
	}
	if c.text, err = parser.Unparse(tree.NativeRep().Expr(), tree.NativeRep().SourceInfo(), parser.WrapOnColumn(bodyBytesMax)); err != nil {
		c.text = body
	}
	c.program, err = env.Program(tree, programOptions(tree.NativeRep())...)
	if err != nil {
		return []*fault.Fault{bodyMustBeValid(body, err)}
	}
	return nil
}

var (
	addressType = cel.OpaqueType("ipaddress")
	anyMap      = cel.MapType(cel.StringType, cel.DynType)
)

// An address is an IP address as CEL sees it.
type address struct{ at netip.Addr }

// ConvertToNative gives the address as Go has it.
func (a address) ConvertToNative(to reflect.Type) (any, error) {
	if to == reflect.TypeFor[netip.Addr]() {
		return a.at, nil
	}
	return nil, fmt.Errorf("an ipaddress is no %v", to)
}

// ConvertToType gives the address as a string.
func (a address) ConvertToType(to ref.Type) ref.Val {
	switch to {
	case types.StringType:
		return types.String(a.at.String())
	case types.TypeType:
		return addressType
	case ref.Type(addressType):
		return a
	default:
		return types.NewErr("an ipaddress is no %s", to.TypeName())
	}
}

// Equal reports whether another value is the same address.
func (a address) Equal(other ref.Val) ref.Val { return types.Bool(other == ref.Val(a)) }

func (a address) Type() ref.Type { return addressType }
func (a address) Value() any     { return a.at }

// inNetwork is `ip.in_cidr("10.0.0.0/8")`.
func inNetwork(ip, network ref.Val) ref.Val {
	a, isAddress := ip.(address)
	text, isText := network.(types.String)
	if !isAddress || !isText {
		return types.NoSuchOverloadErr()
	}
	prefix, err := parseNetwork(string(text))
	if err != nil {
		return types.NewErr("%s is no network", quoted(string(text)))
	}
	return types.Bool(prefix.Contains(a.at))
}

// networkBytesMax is longer than any network that can be written.
const networkBytesMax = 64

func parseNetwork(text string) (netip.Prefix, error) {
	if len(text) > networkBytesMax {
		return netip.Prefix{}, fmt.Errorf("it has %d characters", len(text))
	}
	prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
	if err != nil || !prefix.Addr().Is4In6() {
		return prefix, err
	}
	// Addresses are kept without the ::ffff: before them, so networks are, too.
	if prefix.Bits() < 96 {
		return netip.Prefix{}, fmt.Errorf("it is neither of IPv4 nor of IPv6")
	}
	return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96), nil
}

// isSubtree is `a.isSubtreeOf(b)`: whatever a has, b has too, with maps inside
// maps compared in the same way.
func isSubtree(a, b ref.Val) ref.Val {
	small, ok := a.(traits.Mapper)
	large, alsoOK := b.(traits.Mapper)
	if !ok || !alsoOK {
		return types.NoSuchOverloadErr()
	}
	for it := small.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		there, found := large.Find(key)
		if !found {
			return types.False
		}
		here := small.Get(key)
		if _, nested := here.(traits.Mapper); nested {
			if _, alike := there.(traits.Mapper); !alike {
				return types.False
			}
			if within := isSubtree(here, there); within != types.True {
				return within
			}
			continue
		}
		if equal := types.Equal(here, there); equal != types.True {
			return equal
		}
	}
	return types.True
}
