package condition

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// A map of CEL's is gone over in the order of Go's, which is a different one each
// time: `m.map(k, k)[0]` would be one key now and another one later, and so the
// same question would be granted and denied. Here maps have the order of their keys.

// An ordered map is a map that is gone over in the order of its keys.
type ordered struct {
	traits.Mapper
	keys []ref.Val
}

// order gives a map its order.
func order(m traits.Mapper) ref.Val {
	o := &ordered{Mapper: m}
	for it := m.Iterator(); it.HasNext() == types.True; {
		o.keys = append(o.keys, it.Next())
	}
	slices.SortFunc(o.keys, compareKeys)
	return o
}

// compareKeys orders keys by their types, and then as CEL orders them.
func compareKeys(a, b ref.Val) int {
	if byType := strings.Compare(a.Type().TypeName(), b.Type().TypeName()); byType != 0 {
		return byType
	}
	if c, ok := a.(traits.Comparer); ok {
		if sign, ok := c.Compare(b).(types.Int); ok {
			return int(sign)
		}
	}
	return 0
}

// Fold is how a macro goes over the map.
func (o *ordered) Fold(f traits.Folder) {
	for _, key := range o.keys {
		value, _ := o.Find(key)
		if !f.FoldEntry(key, value) {
			return
		}
	}
}

// Iterator is how everything else does.
func (o *ordered) Iterator() traits.Iterator {
	return types.NewRefValList(adapter, o.keys).Iterator()
}

// An orderedBuilder is a map in the text.
type orderedBuilder struct{ builder }

func (b *orderedBuilder) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	built := b.builder.Exec(frame)
	if m, ok := built.(traits.Mapper); ok {
		return order(m)
	}
	return built // unknown, or an error
}

func (b *orderedBuilder) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, b.Exec)
}
