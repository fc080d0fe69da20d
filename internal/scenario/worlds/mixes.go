package worlds

import "context"

// A Mix is what a campaign asks of a world: everything, or one kind of question
// alone, of which it then asks many.
type Mix string

const (
	Everything   Mix = ""
	ListsAlone   Mix = "lists"
	ReasonsAlone Mix = "reasons"
)

// Mixes are all that there are.
func Mixes() []Mix { return []Mix{Everything, ListsAlone, ReasonsAlone} }

func (w *World) mixed(m Mix) Trial {
	switch m {
	case ListsAlone:
		return w.Lists()
	case ReasonsAlone:
		return w.Reasons()
	default:
		return w.Trial()
	}
}

// FindIn is Find with a mix.
func FindIn(ctx context.Context, system System, seed uint64, m Mix) (Tally, *Finding, error) {
	return find(ctx, system, seed, New(seed).mixed(m), newBook())
}

// Answers is how many answers, lists and explanations were compared.
func (t Tally) Answers() int { return t.Questions + t.Lists + t.Explained }
