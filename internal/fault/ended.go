package fault

import (
	"context"
	"errors"
)

// Ended is why a context has ended: the fault that it was given as its cause, a
// caller who went away, or time that ran out. It is nil while the context runs.
func Ended(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if f := Of(context.Cause(ctx)); f != nil {
		return f
	}
	if errors.Is(err, context.Canceled) {
		return New(CallerMustStay, "the caller went away before the answer was known").
			Do("wait for the answer").Because(err)
	}
	return New(DeadlineMustNotPass, "the request's time ran out before the answer was known").
		Do("give the request more time").Because(err)
}
