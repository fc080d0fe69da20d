package worlds

import "context"

// A Rememberer is a System that answers of the past: of the tuples that the n-th
// accepted write left, 0 for what was loaded, seen at the present time.
type Rememberer interface {
	CheckAt(ctx context.Context, write int, q Question) (Answer, error)
}

// remember asks of the state that there was some accepted writes before this one, of
// the first where there were fewer.
func (r *referee) remember(back int, questions []Question) *Disagreement {
	rememberer, ok := r.system.(Rememberer)
	if !ok {
		return nil
	}
	write := max(0, len(r.past)-1-back)
	world, state := r.world, r.state
	defer func() { r.world, r.state = world, state }()
	r.world, r.state = r.past[write].At(r.now), -1-write // no state of the present has such a number
	for i, q := range questions {
		answer, err := rememberer.CheckAt(r.ctx, write, q)
		if d := r.compare(q, answer, err); d != nil {
			d.Question = i
			return d
		}
		r.tally.Past++
	}
	return nil
}
