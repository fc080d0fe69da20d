package main

import (
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A progress shows on a terminal how far something long has come, and nothing
// anywhere else: what a script reads is the end.
type progress struct {
	shown *mpb.Progress // nil where it is shown to nobody
	bar   *mpb.Bar
}

// progress begins to show how many of so many tuples there are; 0 is an unknown
// number. Whoever begins it ends it.
func (a *app) progress(doing string, total uint64) *progress {
	if !isTerminal(a.err) || os.Getenv("TERM") == "dumb" {
		return &progress{}
	}
	p := &progress{shown: mpb.New(mpb.WithOutput(a.err), mpb.WithWidth(40))}
	name := mpb.PrependDecorators(decor.Name(doing + " "))
	if total == 0 {
		p.bar = p.shown.AddSpinner(0, name, mpb.AppendDecorators(decor.CurrentNoUnit("%d tuples")))
		return p
	}
	p.bar = p.shown.AddBar(int64(total), name, mpb.AppendDecorators(
		decor.CountersNoUnit("%d of %d tuples"), decor.Name(", "), decor.AverageETA(decor.ET_STYLE_GO), decor.Name(" left")))
	return p
}

// at shows that so many are done.
func (p *progress) at(done uint64) {
	if p.bar != nil {
		p.bar.SetCurrent(int64(done))
	}
}

// end takes the bar away, so that what is printed next stands alone. A second one
// does nothing.
func (p *progress) end() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(true)
	p.shown.Wait()
	p.bar = nil
}

// isTerminal reports whether somebody sits at the other end.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
